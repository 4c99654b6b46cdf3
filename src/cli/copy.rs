//! `convoke cp`: files from a component to here, and from here into components, as `cp` does it.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::args::Copy;
use super::copy_archive::{Reading, pack, unpack};
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose};
use crate::engine::docker::{DockerEngine, PathStat, Pieces};
use crate::engine::{EngineError, Observed, ObservedContainer, labels};
use crate::names::ContainerId;

/// Links that lead to links are followed so far.
const LINKS: usize = 40;

pub(super) async fn run(session: &Session, args: Copy) -> Result<u8, CliError> {
    let (from, to) = (End::parse(&args.source), End::parse(&args.destination));
    let component = match (&from, &to) {
        (End::Inside { component, .. }, End::Here(_)) | (End::Here(_), End::Inside { component, .. }) => component,
        (End::Here(_), End::Here(_)) => {
            return Err(CliError::input("which of the two is in a component?").hint("convoke cp web:/etc/hosts ."));
        }
        (End::Inside { .. }, End::Inside { .. }) => {
            return Err(CliError::input("from one component to another isn't copied at once")
                .hint("convoke cp A:/path - | convoke cp - B:/folder"));
        }
    };
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let containers = meant(&observed, component, &args)?;
    let copying = async {
        match (&from, &to) {
            (End::Inside { path, .. }, End::Here(to)) => {
                let copy = Copying { engine: &engine, args: &args, container: containers[0] };
                copy.take_out(path, to).await
            }
            (End::Here(from), End::Inside { path, .. }) => {
                if from == "-" && containers.len() > 1 {
                    return Err(CliError::input(format!(
                        "{component} has several containers, and standard input ends"
                    ))
                    .hint("--index 1"));
                }
                for container in &containers {
                    let copy = Copying { engine: &engine, args: &args, container };
                    copy.put_in(from, path).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    };
    tokio::select! {
        biased;
        () = session.interrupts.after(1) => Ok(INTERRUPTED),
        copied = copying => {
            copied?;
            session.printer.progress(format_args!("copied {} to {}", args.source, args.destination));
            Ok(0)
        }
    }
}

/// One of the two that are named.
enum End {
    /// A path here; `-` is a standard stream.
    Here(String),
    /// A path in a component.
    Inside { component: String, path: String },
}

impl End {
    /// `web:/path`; what begins like a path is one, colon or not.
    fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((component, path))
                if !component.is_empty() && !component.starts_with('.') && !component.contains('/') =>
            {
                // Every path is from the root: there is no other place to be in.
                let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
                Self::Inside { component: component.to_owned(), path }
            }
            _ => Self::Here(text.to_owned()),
        }
    }
}

/// The containers of the component or service: of several, the one with the number, or all.
fn meant<'o>(observed: &'o Observed, name: &str, args: &Copy) -> Result<Vec<&'o ObservedContainer>, CliError> {
    let of_service = |at: &&ObservedContainer| at.label(labels::COMPOSE_SERVICE) == Some(name);
    let one_offs = observed.one_offs.iter().filter(|at| args.all && of_service(at));
    let named = observed.one_offs.iter().filter(|at| at.name == name || at.component.as_str() == name);
    let own: Vec<_> = named.collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let chosen = choose(observed, &[name.to_owned()])?;
    let components = observed.containers.iter().filter(|at| chosen.contains(&at.component));
    let Some(index) = args.index else { return Ok(components.chain(one_offs).collect()) };
    let numbered = components.filter(|at| at.identity().is_some_and(|(_, number)| number == index));
    let found: Vec<_> = numbered.collect();
    if found.is_empty() {
        return Err(
            CliError::input(format!("{name} has no container {index}")).hint("convoke ps shows which there are")
        );
    }
    Ok(found)
}

struct Copying<'a> {
    engine: &'a DockerEngine,
    args: &'a Copy,
    container: &'a ObservedContainer,
}

impl Copying<'_> {
    fn id(&self) -> &ContainerId {
        &self.container.id
    }

    /// From the container to here.
    async fn take_out(&self, path: &str, to: &str) -> Result<(), CliError> {
        let (wanted, only_inside) = without_dot(path);
        let Some((found, stat)) = self.find(wanted, self.args.follow_link).await? else {
            return Err(CliError::failed(format!("{} has no {wanted}", self.container.component)));
        };
        if to == "-" {
            return self.print(&found).await;
        }
        let root = root_here(Path::new(to), last_name(wanted), stat.is_directory, only_inside)?;
        let pieces = self.engine.read_path(self.id(), &found);
        let keep_owners = self.args.archive;
        let unpacked = tokio::task::spawn_blocking(move || {
            let mut reading: Reading<EngineError> = Reading::new(pieces);
            let result = unpack(&mut reading, &root, keep_owners);
            (result, reading.failed)
        });
        match unpacked.await.map_err(|error| CliError::failed(error.to_string()))? {
            (_, Some(error)) => Err(error.into()),
            (Err(error), None) => Err(CliError::failed(error.to_string())),
            (Ok(()), None) => Ok(()),
        }
    }

    /// The archive as it comes.
    async fn print(&self, path: &str) -> Result<(), CliError> {
        let mut pieces = self.engine.read_path(self.id(), path);
        let mut out = tokio::io::stdout();
        let failed = |error: std::io::Error| CliError::failed(format!("standard output: {error}"));
        while let Some(piece) = pieces.recv().await {
            out.write_all(&piece?).await.map_err(failed)?;
        }
        out.flush().await.map_err(failed)
    }

    /// From here into the container.
    async fn put_in(&self, from: &str, path: &str) -> Result<(), CliError> {
        let (path, _) = without_dot(path);
        let there = self.find(path, true).await?;
        if from == "-" {
            let Some((directory, _)) = there.filter(|(_, stat)| stat.is_directory) else {
                return Err(CliError::input(format!("{path} of {} isn't a folder", self.container.component))
                    .hint("an archive is unpacked in a folder"));
            };
            return Ok(self.engine.write_path(self.id(), &directory, standard_input()).await?);
        }
        let (source, only_inside) = without_dot(from);
        let source = self.here(Path::new(source), only_inside)?;
        let is_directory = source.is_dir() && !source.is_symlink();
        let own_name = name_of(Path::new(from), &source);
        let (directory, name) = match there {
            Some((found, stat)) if stat.is_directory && only_inside => (found, None),
            Some((found, stat)) if stat.is_directory => (found, Some(own_name)),
            Some((found, _)) if !is_directory => split(&found),
            Some((found, _)) => {
                return Err(CliError::failed(format!("{found} is a file: a folder can't take its place")));
            }
            None if path.ends_with('/') && !is_directory => {
                return Err(CliError::failed(format!("{} has no folder {path}", self.container.component)));
            }
            None => split(path.trim_end_matches('/')),
        };
        let archive = pack(&source, name.as_deref(), self.args.archive);
        Ok(self.engine.write_path(self.id(), &directory, archive).await?)
    }

    /// What is copied from here: a link itself, unless it is to be followed.
    fn here(&self, path: &Path, only_inside: bool) -> Result<PathBuf, CliError> {
        let failed = |error: std::io::Error| CliError::failed(format!("{}: {error}", path.display()));
        std::fs::symlink_metadata(path).map_err(failed)?;
        let follows = self.args.follow_link || only_inside;
        if follows { path.canonicalize().map_err(failed) } else { Ok(path.to_owned()) }
    }

    /// What is at a path, and where that really is.
    async fn find(&self, path: &str, follow: bool) -> Result<Option<(String, PathStat)>, CliError> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let Some(stat) = self.engine.stat_path(self.id(), &path).await? else { return Ok(None) };
            match &stat.link {
                Some(target) if follow && !target.is_empty() => path.clone_from(target),
                _ => return Ok(Some((path, stat))),
            }
        }
        Err(CliError::failed(format!("{path}: too many links, one to the next")))
    }
}

/// `folder/.` stands for what is in it.
fn without_dot(path: &str) -> (&str, bool) {
    match path.strip_suffix("/.") {
        Some("") => ("/", true),
        Some(folder) => (folder, true),
        None => (path, path == "."),
    }
}

fn last_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// The name by which something here is copied: `.` and `..` have none of their own.
fn name_of(given: &Path, source: &Path) -> String {
    let own = given.file_name().map(ToOwned::to_owned);
    let own = own.or_else(|| Some(source.canonicalize().ok()?.file_name()?.to_owned()));
    own.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A path's folder, and its last name.
fn split(path: &str) -> (String, Option<String>) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = if folder.is_empty() { "/" } else { folder };
    (folder.to_owned(), (!name.is_empty()).then(|| name.to_owned()))
}

/// Where what is copied will be here: in a folder that is there, or else under the name given.
fn root_here(to: &Path, name: &str, is_directory: bool, only_inside: bool) -> Result<PathBuf, CliError> {
    let is_folder_name = to.as_os_str().to_string_lossy().ends_with('/');
    match to.metadata() {
        Ok(found) if found.is_dir() => {
            // Links that lead here are the user's own.
            let folder = to.canonicalize().map_err(|error| CliError::failed(format!("{}: {error}", to.display())))?;
            Ok(if only_inside || name.is_empty() { folder } else { folder.join(name) })
        }
        Ok(_) if is_directory => {
            Err(CliError::failed(format!("{} is a file: a folder can't take its place", to.display())))
        }
        Ok(_) => Ok(to.canonicalize().unwrap_or_else(|_| to.to_owned())),
        Err(_) if is_folder_name && !is_directory => {
            Err(CliError::failed(format!("there is no folder {}", to.display())))
        }
        Err(_) => {
            let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder =
                parent.canonicalize().map_err(|error| CliError::failed(format!("{}: {error}", parent.display())))?;
            Ok(to.file_name().map_or(folder.clone(), |own| folder.join(own)))
        }
    }
}

fn standard_input() -> Pieces {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut input = tokio::io::stdin();
        loop {
            let mut piece = bytes::BytesMut::with_capacity(64 * 1024);
            let read = input.read_buf(&mut piece).await;
            let is_end = matches!(read, Ok(0) | Err(_));
            if matches!(read, Ok(0)) || sender.send(read.map(|_| piece.freeze())).await.is_err() || is_end {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_and_what_is_here() {
        let parsed = |text: &str| match End::parse(text) {
            End::Here(path) => path,
            End::Inside { component, path } => format!("{component} {path}"),
        };
        assert_eq!(parsed("web:/a:b"), "web /a:b");
        assert_eq!(parsed("web:a"), "web /a");
        for here in ["./a:b", "/a:b", "a/b:c", "-", "a", "../x:y"] {
            assert_eq!(parsed(here), here);
        }
    }

    #[test]
    fn where_it_goes_here() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let at = |to: &str, is_directory, only_inside| {
            let path = root_here(Path::new(&format!("{}/{to}", root.display())), "x", is_directory, only_inside);
            path.map(|path| path.strip_prefix(&root).unwrap().display().to_string()).map_err(|error| error.text())
        };
        assert_eq!(at("", true, false).unwrap(), "x");
        assert_eq!(at("", true, true).unwrap(), "");
        assert_eq!(at("new", true, false).unwrap(), "new");
        assert_eq!(at("new", false, false).unwrap(), "new");
        assert_eq!(at("file", false, false).unwrap(), "file");
        assert!(at("file", true, false).unwrap_err().contains("can't take its place"));
        assert!(at("new/", false, false).unwrap_err().contains("there is no folder"));
        assert!(at("no/new", false, false).unwrap_err().contains("No such file"));
    }

    #[test]
    fn names_and_folders() {
        assert_eq!(split("/a/b"), ("/a".to_owned(), Some("b".to_owned())));
        assert_eq!(split("/a"), ("/".to_owned(), Some("a".to_owned())));
        assert_eq!(without_dot("/a/."), ("/a", true));
        assert_eq!(without_dot("/."), ("/", true));
        assert_eq!(last_name("/a/b/"), "b");
    }
}
