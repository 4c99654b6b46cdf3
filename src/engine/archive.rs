//! Tar archives: files for containers, and hand-made images.
//!
//! A docker-archive written here loads in 0.2 s, against 0.7 s for the classic builder, and where the engine keeps
//! images in its own store (all before 29, and later ones unless containerd keeps them) the image's id is the digest of
//! the configuration: it is known before the upload, which can be skipped if the engine has it.

use std::io;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::cluster::{HealthCheck, VolumeOwner};

/// A file to put into a container.
#[derive(Clone, PartialEq, Eq)]
pub struct PlacedFile {
    /// Absolute path inside.
    pub target: String,
    /// What is in it.
    pub content: Bytes,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// The archive that, unpacked at `/` of a created container, puts the files there and gives the volume roots their
/// owners. Parent directories are no entries of it: the engine makes missing ones and leaves others as they are.
///
/// `modified` is the files' time, in seconds since 1970.
///
/// # Errors
/// When a path isn't absolute, is the root itself, or has `..` in it.
pub fn container_files(files: &[PlacedFile], owners: &[VolumeOwner], modified: u64) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for owner in owners {
        let mut header = header(EntryType::Directory, owner.mode.unwrap_or(0o755), modified);
        header.set_uid(owner.uid.into());
        header.set_gid(owner.gid.into());
        tar.append_data(&mut header, format!("{}/", inside(&owner.target)?), io::empty())?;
    }
    for file in files {
        let mut header = header(EntryType::Regular, file.mode, modified);
        header.set_uid(file.uid.into());
        header.set_gid(file.gid.into());
        header.set_size(file.content.len() as u64);
        tar.append_data(&mut header, inside(&file.target)?, file.content.as_ref())?;
    }
    tar.into_inner()
}

fn header(kind: EntryType, mode: u32, modified: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_mtime(modified);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

/// An absolute path as an archive has it: without the slash at either end.
fn inside(path: &str) -> io::Result<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if !path.starts_with('/') || parts.is_empty() || parts.contains(&"..") || path.contains('\0') {
        return Err(io::Error::other(format!("{path:?} is not an absolute path below the root, without \"..\"")));
    }
    Ok(parts.join("/"))
}

/// An image made of given files, as a Dockerfile with `FROM scratch` would make it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScratchImage {
    /// Reference that it gets, such as `convoke/neon-sim:1`.
    pub name: String,
    /// What it holds.
    pub files: Vec<ImageFile>,
    /// Program and arguments that can't be replaced by a command.
    pub entrypoint: Vec<String>,
    /// Arguments that can.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// TCP ports that it declares.
    pub exposed: Vec<u16>,
    /// User, as `uid[:gid]` or a name in its `/etc/passwd`.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Paths that it declares as volumes.
    pub volumes: Vec<String>,
    /// Health check.
    pub health: Option<HealthCheck>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// The processor that its programs are for, such as `aarch64`; None: this program's own.
    pub architecture: Option<String>,
}

/// A file, directory or symbolic link of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Absolute path.
    pub path: String,
    /// What it is.
    pub kind: ImageFileKind,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// What an entry of an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageFileKind {
    /// A file with this content.
    File(Bytes),
    /// A directory.
    Directory,
    /// A symbolic link to this path.
    Link(String),
}

impl ImageFile {
    /// A program: readable and executable by everyone, owned by root.
    #[must_use]
    pub fn program(path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Self { path: path.into(), kind: ImageFileKind::File(content.into()), uid: 0, gid: 0, mode: 0o755 }
    }

    /// A file that everyone may read, owned by root.
    #[must_use]
    pub fn file(path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Self { mode: 0o644, ..Self::program(path, content) }
    }

    /// A directory with these permission bits, owned by root.
    #[must_use]
    pub fn directory(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), kind: ImageFileKind::Directory, uid: 0, gid: 0, mode }
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(path: impl Into<String>, to: impl Into<String>) -> Self {
        Self { path: path.into(), kind: ImageFileKind::Link(to.into()), uid: 0, gid: 0, mode: 0o777 }
    }
}

/// An image ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArchive {
    /// The reference.
    pub name: String,
    /// The id that the engine will give it, `sha256:…`.
    pub id: String,
    /// The archive.
    pub bytes: Bytes,
}

impl ScratchImage {
    /// Writes the archive. The same image always gives the same bytes: all times in it are 1970.
    ///
    /// # Errors
    /// When a path isn't absolute, is the root itself, or has `..` in it.
    pub fn archive(&self) -> io::Result<ImageArchive> {
        let layer = self.layer()?;
        let layer_digest = hex_digest(&layer);
        let config = self.config(&layer_digest).to_string().into_bytes();
        let config_digest = hex_digest(&config);
        let layer_path = format!("{layer_digest}/layer.tar");
        let config_path = format!("{config_digest}.json");
        let manifest = json!([{ "Config": config_path, "RepoTags": [tagged(&self.name)], "Layers": [layer_path] }]);
        let mut tar = Builder::new(Vec::new());
        let entries = [
            (config_path, config),
            (layer_path, layer),
            ("manifest.json".to_owned(), manifest.to_string().into_bytes()),
        ];
        for (path, content) in entries {
            let mut header = header(EntryType::Regular, 0o644, 0);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content.as_slice())?;
        }
        let bytes = tar.into_inner()?.into();
        Ok(ImageArchive { name: self.name.clone(), id: format!("sha256:{config_digest}"), bytes })
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for file in &self.files {
            let path = inside(&file.path)?;
            let kind = match &file.kind {
                ImageFileKind::File(_) => EntryType::Regular,
                ImageFileKind::Directory => EntryType::Directory,
                ImageFileKind::Link(_) => EntryType::Symlink,
            };
            let mut header = header(kind, file.mode, 0);
            header.set_uid(file.uid.into());
            header.set_gid(file.gid.into());
            match &file.kind {
                ImageFileKind::File(content) => {
                    header.set_size(content.len() as u64);
                    tar.append_data(&mut header, path, content.as_ref())?;
                }
                ImageFileKind::Directory => tar.append_data(&mut header, format!("{path}/"), io::empty())?,
                ImageFileKind::Link(to) => tar.append_link(&mut header, path, to)?,
            }
        }
        tar.into_inner()
    }

    fn config(&self, layer_digest: &str) -> Value {
        let set = |keys: Vec<String>| keys.into_iter().map(|key| (key, json!({}))).collect::<Map<_, _>>();
        let mut config = Map::new();
        let mut put = |key: &str, value: Value, wanted: bool| {
            if wanted {
                config.insert(key.to_owned(), value);
            }
        };
        put("Entrypoint", json!(self.entrypoint), !self.entrypoint.is_empty());
        put("Cmd", json!(self.command), !self.command.is_empty());
        put("Env", json!(self.env), !self.env.is_empty());
        put("User", json!(self.user), self.user.is_some());
        put("WorkingDir", json!(self.working_dir), self.working_dir.is_some());
        let ports = self.exposed.iter().map(|port| format!("{port}/tcp")).collect();
        put("ExposedPorts", set(ports).into(), !self.exposed.is_empty());
        put("Volumes", set(self.volumes.clone()).into(), !self.volumes.is_empty());
        put("Healthcheck", self.health.as_ref().map(health).into(), self.health.is_some());
        let labels: Map<String, Value> = self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        put("Labels", labels.into(), !self.labels.is_empty());
        json!({
            "architecture": architecture(self.architecture.as_deref().unwrap_or(std::env::consts::ARCH)),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "convoke" }],
        })
    }
}

fn health(check: &HealthCheck) -> Value {
    let mut test = check.command.clone();
    test.insert(0, "CMD".to_owned());
    json!({
        "Test": test,
        "Interval": nanos(check.interval),
        "Timeout": nanos(check.timeout),
        "Retries": check.retries,
        "StartPeriod": nanos(check.start_period),
    })
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Go's word for a processor.
fn architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn entries(bytes: &[u8]) -> Vec<(String, EntryType, u32, u64, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            (path, header.entry_type(), header.mode().unwrap(), header.uid().unwrap(), content)
        };
        archive.entries().unwrap().map(read).collect()
    }

    fn placed(target: &str) -> PlacedFile {
        PlacedFile { target: target.into(), content: "x".into(), uid: 7, gid: 8, mode: 0o400 }
    }

    #[test]
    fn files_and_owners_without_parents() {
        let owner = VolumeOwner { target: "/data/".into(), uid: 1000, gid: 1000, mode: None };
        let long = format!("/etc/{}/x.conf", "d".repeat(150));
        let tar = container_files(&[placed("/etc/app/x.conf"), placed(&long)], &[owner], 42).unwrap();
        let all = entries(&tar);
        let x = b"x".to_vec();
        assert_eq!(all[0], ("data/".into(), EntryType::Directory, 0o755, 1000, Vec::new()));
        assert_eq!(all[1], ("etc/app/x.conf".into(), EntryType::Regular, 0o400, 7, x.clone()));
        assert_eq!(all[2], (long[1..].to_owned(), EntryType::Regular, 0o400, 7, x));
    }

    #[test]
    fn paths_that_leave_the_container_are_refused() {
        for path in ["relative", "/", "", "/a/../b", "/..", "//.", "/a\0b"] {
            assert!(container_files(&[placed(path)], &[], 0).is_err(), "{path:?}");
        }
    }

    #[test]
    fn an_image_is_the_same_every_time_and_its_id_is_that_of_its_configuration() {
        let image = ScratchImage {
            name: "convoke/test".into(),
            files: vec![
                ImageFile::directory("/tmp", 0o1777),
                ImageFile::program("/bin/x", "code"),
                ImageFile::link("/bin/y", "x"),
            ],
            entrypoint: vec!["/bin/x".into()],
            exposed: vec![80],
            volumes: vec!["/data".into()],
            ..Default::default()
        };
        let made = image.archive().unwrap();
        assert_eq!(made, image.archive().unwrap());
        let all = entries(&made.bytes);
        let config: Value = serde_json::from_slice(&all[0].4).unwrap();
        assert_eq!(made.id, format!("sha256:{}", hex_digest(&all[0].4)));
        assert_eq!(config["config"]["ExposedPorts"], json!({"80/tcp": {}}));
        assert!(config["config"].get("Cmd").is_none());
        assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", hex_digest(&all[1].4))]));
        let manifest: Value = serde_json::from_slice(&all[2].4).unwrap();
        assert_eq!(manifest[0]["RepoTags"], json!(["convoke/test:latest"]));
        let layer: Vec<_> = entries(&all[1].4).into_iter().map(|(path, kind, mode, ..)| (path, kind, mode)).collect();
        let expected = [
            ("tmp/".to_owned(), EntryType::Directory, 0o1777),
            ("bin/x".to_owned(), EntryType::Regular, 0o755),
            ("bin/y".to_owned(), EntryType::Symlink, 0o777),
        ];
        assert_eq!(layer, expected);
    }

    proptest! {
        #[test]
        fn no_path_escapes(path in "[/.a\\PC]{0,12}") {
            if let Ok(kept) = inside(&path) {
                prop_assert!(!kept.starts_with('/') && kept.split('/').all(|part| part != ".." && !part.is_empty()));
            }
        }
    }
}
