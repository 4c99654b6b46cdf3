//! `include`: other projects whose services, networks, volumes, configs and secrets become parts of this one.

use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::files::{Files, Scope, identity};
use super::merge::settle;
use super::node::{Entry, Kind, Map, Node};
use super::paths::Paths;
use super::place::{Place, Spanned};

/// Deepest nesting of files that include files.
const MAX_DEPTH: usize = 20;

/// The parts that are taken over.
const SECTIONS: [&str; 6] = ["services", "networks", "volumes", "configs", "secrets", "models"];

/// An entry of `include`.
struct Inclusion {
    at: Place,
    paths: Vec<Spanned<String>>,
    project_directory: Option<String>,
    env_files: Option<Vec<String>>,
}

impl Files {
    /// Takes in what the tree's `include` names.
    pub(super) fn include(&mut self, tree: &mut Node, path: Option<&Path>, scope: &Scope<'_>) {
        let Kind::Map(map) = &mut tree.kind else { return };
        let Some(entry) = map.shift_remove("include").filter(|entry| !entry.value.is_null()) else { return };
        let Kind::List(items) = &entry.value.kind else {
            self.out.error(&entry.value.at, format!("include must be a list, but it is {}", entry.value.describe()));
            return;
        };
        let mut stack = scope.included_by.to_vec();
        stack.extend(path.map(identity));
        for (index, item) in items.iter().enumerate() {
            let Some(inclusion) = self.read_inclusion(item, &format!("include[{index}]")) else { continue };
            if let Some(included) = self.included(&inclusion, &stack, scope) {
                self.take_over(tree, included, &inclusion);
            }
        }
    }

    fn read_inclusion(&mut self, node: &Node, path: &str) -> Option<Inclusion> {
        let one = |node: &Node| node.as_text().map(|text| Spanned::new(text.to_owned(), node.at.clone()));
        let mut inclusion =
            Inclusion { at: node.at.clone(), paths: Vec::new(), project_directory: None, env_files: None };
        if let Some(only) = one(node) {
            inclusion.paths.push(only);
            return Some(inclusion);
        }
        let Some(map) = node.as_map() else {
            self.out.error(&node.at, format!("{path} must be a path or a mapping, but it is {}", node.describe()));
            return None;
        };
        let mut several = |node: &Node, path: &str| -> Vec<Spanned<String>> {
            let items = match &node.kind {
                Kind::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            let texts: Vec<_> = items.iter().filter_map(one).collect();
            if texts.len() < items.len() {
                self.out.error(&node.at, format!("{path} must be a path or a list of paths"));
            }
            texts
        };
        let values = |texts: Vec<Spanned<String>>| texts.into_iter().map(|text| text.value).collect();
        let mut unknown = Vec::new();
        for (key, Entry { key: at, value }) in map {
            match key.as_str() {
                "path" => inclusion.paths = several(value, &format!("{path}.path")),
                "env_file" => inclusion.env_files = Some(values(several(value, &format!("{path}.env_file")))),
                "project_directory" => inclusion.project_directory = value.as_text().map(str::to_owned),
                _ => unknown.push((key, at)),
            }
        }
        for (key, at) in unknown {
            let diagnostic = Diagnostic::error(at, format!("unknown key {key:?} in {path}"));
            self.out.push(diagnostic.hint("there are path, project_directory and env_file"));
        }
        if inclusion.paths.is_empty() {
            self.out.error(&node.at, format!("{path} has no path"));
            return None;
        }
        Some(inclusion)
    }

    /// The project that is included, its paths made absolute.
    fn included(&mut self, inclusion: &Inclusion, stack: &[PathBuf], scope: &Scope<'_>) -> Option<Node> {
        let mut sources = Vec::new();
        for path in &inclusion.paths {
            let key = identity(&scope.directory.join(&path.value));
            if let Some(first) = stack.iter().position(|file| *file == key) {
                let round = stack[first..].iter().chain([&key]).map(|file| file.display().to_string());
                let message =
                    format!("files include one another in a circle: {}", round.collect::<Vec<_>>().join(" -> "));
                self.out.push(Diagnostic::error(&path.at, message).hint("remove one of these entries"));
                return None;
            }
            sources.push(self.open(&path.value, scope.directory, &path.at, "include")?);
        }
        if stack.len() >= MAX_DEPTH {
            self.out.error(&inclusion.at, format!("files include one another more than {MAX_DEPTH} deep"));
            return None;
        }
        let beside = sources.first()?.path.as_deref().and_then(Path::parent).unwrap_or(scope.directory);
        let directory = match &inclusion.project_directory {
            Some(directory) => scope.directory.join(directory),
            None => beside.to_owned(),
        };
        let mut environment = scope.environment.clone();
        match &inclusion.env_files {
            Some(files) => {
                let files: Vec<_> = files.iter().map(|file| (file.clone(), scope.directory.join(file))).collect();
                environment.add_files(&files);
            }
            None => environment.add_dot_env(&directory),
        }
        self.out.append(environment.take_problems());
        self.reads.extend_from_slice(environment.files());
        let mut parsed = Vec::new();
        for source in sources {
            parsed.push((self.parse(&source)?, source.path));
        }
        let scope = Scope { directory: &directory, environment: &environment, included_by: stack };
        let mut tree = self.combine(parsed, &scope)?;
        settle(&mut tree);
        let home = None;
        Paths { working_dir: directory, home }.resolve_tree(&mut tree);
        Some(tree)
    }

    /// Puts the parts of an included project into the tree. What both have must be the same.
    fn take_over(&mut self, tree: &mut Node, included: Node, inclusion: &Inclusion) {
        let (Kind::Map(tree), Kind::Map(mut included)) = (&mut tree.kind, included.kind) else { return };
        for section in SECTIONS {
            let Some(Entry { key, value }) = included.shift_remove(section) else { continue };
            let Kind::Map(parts) = value.kind else { continue };
            let own = tree
                .entry(section.to_owned())
                .or_insert_with(|| Entry { key, value: Node::new(value.at.clone(), Kind::Map(Map::new())) });
            if own.value.is_null() {
                own.value = Node::new(value.at, Kind::Map(Map::new()));
            }
            let Kind::Map(own) = &mut own.value.kind else { continue };
            for (name, part) in parts {
                match own.get(&name) {
                    None => drop(own.insert(name, part)),
                    Some(there) if there.value.says_the_same(&part.value) => {}
                    Some(there) => {
                        let message = format!("{section}.{name} is also in what is included at {}", inclusion.at);
                        let hint = format!(
                            "that one is at {}: rename one of them, or change it in an override file",
                            part.key
                        );
                        self.out.push(Diagnostic::error(&there.key, message).hint(hint));
                    }
                }
            }
        }
    }
}
