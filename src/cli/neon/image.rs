//! The image of the control plane: a static convoke and little else, made here, since no registry has it.

use std::path::{Path, PathBuf};

use super::super::error::CliError;
use super::super::session::Session;
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::engine::archive::{ImageFile, ScratchImage};
use crate::engine::docker::DockerEngine;

/// Its reference; templates name it by this.
const IMAGE: &str = concat!("convoke/control-plane:", env!("CARGO_PKG_VERSION"));
const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// Makes sure that the engine has the image, if the cluster wants it. A newer program makes a newer image.
pub(in crate::cli) async fn provide_image(engine: &DockerEngine, cluster: &Cluster) -> Result<(), CliError> {
    if !cluster.components.values().any(|component| component.image == IMAGE) {
        return Ok(());
    }
    if let Some(binary) = static_program() {
        return load(engine, &binary).await;
    }
    if engine.image(IMAGE).await?.is_some() {
        tracing::debug!("{IMAGE} is there; whether it is this version's can't be told without a static program");
        return Ok(());
    }
    let here = std::env::consts::ARCH;
    Err(CliError::input(format!(
        "the image {IMAGE} isn't there, and this convoke can't be put into one: it isn't linked statically for Linux"
    ))
    .hint(format!(
        "a static convoke beside this one as convoke-linux-{here}; or convoke neon image PATH; or --set control_plane_image=IMAGE"
    )))
}

/// `convoke neon image`
pub(super) async fn make(session: &Session, binary: Option<PathBuf>) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let binary = match binary {
        Some(binary) if is_static(&binary) => binary,
        Some(binary) => {
            let text = format!("{} isn't a static program for Linux on {}", binary.display(), std::env::consts::ARCH);
            return Err(CliError::input(text));
        }
        None => static_program().ok_or_else(|| {
            CliError::input("this convoke isn't linked statically").hint("convoke neon image PATH-OF-A-STATIC-ONE")
        })?,
    };
    load(&engine, &binary).await?;
    session.printer.result(IMAGE);
    Ok(0)
}

async fn load(engine: &DockerEngine, binary: &Path) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::failed(format!("can't read {}: {error}", binary.display()));
    let program = std::fs::read(binary).map_err(failed)?;
    let archive = image(program).archive().map_err(failed)?;
    engine.load(&archive).await?;
    Ok(())
}

/// What is in it. User, folders and their owner are as in Neon's images.
fn image(program: Vec<u8>) -> ScratchImage {
    let own = |path: &str| ImageFile { uid: 1000, gid: 1000, ..ImageFile::directory(path, 0o755) };
    ScratchImage {
        name: IMAGE.to_owned(),
        files: vec![
            ImageFile::directory("/tmp", 0o1777),
            ImageFile::file("/etc/passwd", "root:x:0:0::/:\nneon:x:1000:1000::/data:\n".as_bytes()),
            ImageFile::file("/etc/group", "root:x:0:\nneon:x:1000:\n".as_bytes()),
            // Its peers' addresses are in the hosts file.
            ImageFile::file("/etc/nsswitch.conf", "hosts: files dns\n".as_bytes()),
            own("/data"),
            own("/keys"),
            ImageFile::program("/usr/local/bin/convoke", program),
        ],
        entrypoint: vec!["/usr/local/bin/convoke".into(), "neon".into(), "control-plane".into()],
        user: Some("1000:1000".into()),
        working_dir: Some("/data".into()),
        labels: vec![("convoke.image".into(), "control-plane".into())],
        ..ScratchImage::default()
    }
}

/// This program if it is static, else one that was put beside it for this.
fn static_program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let name = format!("convoke-linux-{}", std::env::consts::ARCH);
    let folder = own.parent()?;
    let beside = [folder.join(&name), folder.join("../lib/convoke").join(&name)];
    [own.clone()].into_iter().chain(beside).find(|path| is_static(path))
}

/// A program for Linux on this processor that needs no loader and so no libraries.
fn is_static(path: &Path) -> bool {
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    let mut head = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(&mut file, 64 << 10), &mut head);
    read.is_ok() && is_static_elf(&head)
}

/// By its header and its list of segments: one that names a loader isn't static.
fn is_static_elf(head: &[u8]) -> bool {
    const NAMES_A_LOADER: u32 = 3;
    let u16_at = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let machine = match std::env::consts::ARCH {
        "x86_64" => X86_64,
        "aarch64" => AARCH64,
        _ => return false,
    };
    // 64 bits, little endian.
    if !head.starts_with(b"\x7fELF\x02\x01") || u16_at(18) != Some(machine) {
        return false;
    }
    let (Some(table), Some(size), Some(number)) = (u64_at(32), u16_at(54), u16_at(56)) else { return false };
    let Ok(table) = usize::try_from(table) else { return false };
    let kind = |n: u16| u32_at(table.checked_add(usize::from(size) * usize::from(n))?);
    number > 0 && (0..number).all(|n| kind(n).is_some_and(|kind| kind != NAMES_A_LOADER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16, segments: &[u32]) -> Vec<u8> {
        let mut head = vec![0; 64 + segments.len() * 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[54..56].copy_from_slice(&56_u16.to_le_bytes());
        head[56..58].copy_from_slice(&u16::try_from(segments.len()).unwrap().to_le_bytes());
        for (n, kind) in segments.iter().enumerate() {
            head[64 + n * 56..68 + n * 56].copy_from_slice(&kind.to_le_bytes());
        }
        head
    }

    #[test]
    fn a_static_program_names_no_loader() {
        let own = if std::env::consts::ARCH == "x86_64" { X86_64 } else { AARCH64 };
        assert!(is_static_elf(&elf(own, &[1, 1, 2])));
        assert!(!is_static_elf(&elf(own, &[6, 3, 1])), "it names a loader");
        assert!(!is_static_elf(&elf(own + 1, &[1])), "another processor's");
        assert!(!is_static_elf(&elf(own, &[1, 1])[..100]), "cut off");
        assert!(!is_static_elf(b"#!/bin/sh"));
    }

    #[test]
    fn the_image_is_the_same_for_the_same_program() {
        let one = image(b"program".to_vec()).archive().unwrap();
        assert_eq!(one, image(b"program".to_vec()).archive().unwrap());
        assert_ne!(one.id, image(b"another".to_vec()).archive().unwrap().id);
        assert!(one.name.starts_with("convoke/control-plane:"));
    }
}
