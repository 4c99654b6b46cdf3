//! `extends`: a service that begins as another one, of the same file or of another.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::diagnostic::Diagnostic;
use super::environment::Environment;
use super::files::{Files, Scope, identity};
use super::merge::merge_service;
use super::node::{Kind, Map, Mark, Node};
use super::paths::Paths;
use super::place::{Place, Spanned};
use super::suggest::closest;

/// Longest chain of services that extend one another.
const MAX_CHAIN: usize = 64;

/// A file that services are taken from.
#[derive(Clone)]
struct Origin {
    /// None: the file whose services are being completed.
    file: Option<PathBuf>,
    directory: PathBuf,
}

/// The services of one file while they are being completed.
struct Extension<'a> {
    environment: &'a Environment,
    /// Services of every file, variables replaced.
    services: HashMap<Option<PathBuf>, Map>,
    /// Services that are complete.
    done: HashMap<(Option<PathBuf>, String), Node>,
    /// Those on the way to the one that is being completed.
    chain: Vec<(Option<PathBuf>, String)>,
    /// Those of circles that have been reported.
    circular: HashSet<(Option<PathBuf>, String)>,
}

impl Files {
    /// Completes every service of `tree` that has `extends`.
    pub(super) fn extend_services(&mut self, tree: &mut Node, scope: &Scope<'_>) {
        let Some(Node { kind: Kind::Map(services), .. }) = tree.get_mut("services") else { return };
        if services.values().all(|entry| entry.value.get("extends").is_none()) {
            return;
        }
        let mut extension = Extension {
            environment: scope.environment,
            services: HashMap::from([(None, services.clone())]),
            done: HashMap::new(),
            chain: Vec::new(),
            circular: HashSet::new(),
        };
        let origin = Origin { file: None, directory: scope.directory.to_owned() };
        for (name, entry) in services {
            if let Some(complete) = self.extended(&mut extension, name, &origin) {
                entry.value = complete;
            }
        }
    }

    /// The service with what it extends. None if it isn't there or can't be completed; that has been reported.
    fn extended(&mut self, extension: &mut Extension<'_>, name: &str, origin: &Origin) -> Option<Node> {
        let key = (origin.file.clone(), name.to_owned());
        if let Some(done) = extension.done.get(&key) {
            return Some(done.clone());
        }
        let own = extension.services.get(&origin.file)?.get(name)?.value.clone();
        let Some(extends) = own.get("extends").filter(|extends| !extends.is_null()) else { return Some(own) };
        let at = extends.at.clone();
        if self.is_circular(extension, &key, &at) {
            return None;
        }
        let (service, file) = self.read_extends(extends, name)?;
        extension.chain.push(key.clone());
        let base = self.base(extension, &service, file.as_ref(), origin);
        extension.chain.pop();
        let mut complete = base?;
        let mut own = own;
        if let Kind::Map(map) = &mut own.kind {
            map.shift_remove("extends");
        }
        own.mark = Mark::None;
        if !self.admit(complete.values(), &at) {
            return None;
        }
        merge_service(&mut complete, own);
        // Others extend those on the way to one: only these are asked for again.
        if !extension.chain.is_empty() {
            extension.done.insert(key, complete.clone());
        }
        Some(complete)
    }

    fn is_circular(&mut self, extension: &mut Extension<'_>, key: &(Option<PathBuf>, String), at: &Place) -> bool {
        if let Some(first) = extension.chain.iter().position(|other| other == key) {
            let round = &extension.chain[first..];
            if !extension.circular.contains(key) {
                let names: Vec<&str> = round.iter().chain([key]).map(|(_, name)| name.as_str()).collect();
                let message = format!("services extend one another in a circle: {}", names.join(" -> "));
                self.out.push(Diagnostic::error(at, message).hint("remove one of these extends"));
            }
            extension.circular.extend(round.iter().cloned());
            return true;
        }
        if extension.chain.len() >= MAX_CHAIN {
            self.out.error(at, format!("more than {MAX_CHAIN} services extend one another"));
            return true;
        }
        false
    }

    /// The service and file that are extended.
    fn read_extends(&mut self, node: &Node, name: &str) -> Option<(Spanned<String>, Option<Spanned<String>>)> {
        let path = format!("services.{name}.extends");
        let spanned = |node: &Node| node.as_text().map(|text| Spanned::new(text.to_owned(), node.at.clone()));
        if let Some(service) = spanned(node) {
            return Some((service, None));
        }
        let Some(map) = node.as_map() else {
            self.out.error(&node.at, format!("{path} must be a service or a mapping, but it is {}", node.describe()));
            return None;
        };
        for (key, entry) in map.iter().filter(|(key, _)| !matches!(key.as_str(), "service" | "file")) {
            let diagnostic = Diagnostic::error(&entry.key, format!("unknown key {key:?} in {path}"));
            self.out.push(diagnostic.hint("there are service and file"));
        }
        let Some(service) = node.get("service").and_then(spanned) else {
            self.out.error(&node.at, format!("{path} has no service"));
            return None;
        };
        let file = node.get("file").filter(|file| !file.is_null());
        match file.map(|file| (file, spanned(file))) {
            Some((file, None)) => {
                self.out.error(&file.at, format!("{path}.file must be a path, but it is {}", file.describe()));
                None
            }
            Some((_, file)) => Some((service, file)),
            None => Some((service, None)),
        }
    }

    /// The service that is extended, complete and with paths that don't depend on where its file is.
    fn base(
        &mut self,
        extension: &mut Extension<'_>,
        service: &Spanned<String>,
        file: Option<&Spanned<String>>,
        origin: &Origin,
    ) -> Option<Node> {
        let Some(file) = file else {
            self.check_service(extension, service, origin)?;
            return self.extended(extension, &service.value, origin);
        };
        let path = origin.directory.join(&file.value);
        let key = Some(identity(&path));
        let directory = path.parent().unwrap_or(&origin.directory).to_owned();
        if !extension.services.contains_key(&key) {
            let source = self.open(&file.value, &origin.directory, &file.at, "extends")?;
            let mut tree = self.parse(&source)?;
            self.interpolate(&mut tree, extension.environment);
            let services = match tree.get_mut("services").map(|node| &mut node.kind) {
                Some(Kind::Map(services)) => std::mem::take(services),
                _ => Map::new(),
            };
            extension.services.insert(key.clone(), services);
        }
        let other = Origin { file: key, directory };
        self.check_service(extension, service, &other)?;
        let mut base = self.extended(extension, &service.value, &other)?;
        Paths { working_dir: other.directory, home: None }.resolve_service(&mut base);
        Some(base)
    }

    /// Notes that the service isn't there.
    fn check_service(&mut self, extension: &Extension<'_>, service: &Spanned<String>, origin: &Origin) -> Option<()> {
        let there = extension.services.get(&origin.file)?;
        if there.contains_key(&service.value) {
            return Some(());
        }
        let place = match &origin.file {
            None => "here".to_owned(),
            Some(file) => format!("in {}", file.display()),
        };
        let mut diagnostic = Diagnostic::error(&service.at, format!("there is no service {:?} {place}", service.value));
        if let Some(meant) = closest(&service.value, there.keys().map(String::as_str)) {
            diagnostic = diagnostic.hint(format!("did you mean {meant:?}?"));
        }
        self.out.push(diagnostic);
        None
    }
}
