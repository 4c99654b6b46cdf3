//! The image of the control plane: convoke itself and what it needs to run, made here, since no registry has it.

use std::io;
use std::path::{Path, PathBuf};

use super::super::error::CliError;
use super::super::session::Session;
use super::program::Program;
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::engine::archive::{ImageFile, ScratchImage};
use crate::engine::docker::DockerEngine;

/// Its reference; templates name it by this.
const IMAGE: &str = concat!("convoke/control-plane:", env!("CARGO_PKG_VERSION"));
/// The label that tells which program is in it.
const PROGRAM: &str = "convoke.program";
/// Where libraries are in it, if the program has any.
const LIBRARIES: &str = "/usr/local/lib";

/// Makes sure that the engine has the image, if the cluster wants it. Another program makes another image.
pub(in crate::cli) async fn provide_image(engine: &DockerEngine, cluster: &Cluster) -> Result<(), CliError> {
    if !cluster.components.values().any(|component| component.image == IMAGE) {
        return Ok(());
    }
    let wanted = architecture(engine);
    if let Some(program) = fitting(&wanted) {
        return load(engine, &program).await;
    }
    if engine.image(IMAGE).await?.is_some() {
        tracing::debug!("{IMAGE} is there; whether it is this version's can't be told");
        return Ok(());
    }
    Err(unfit(&wanted))
}

/// No program here runs on the engine's processor.
fn unfit(wanted: &str) -> CliError {
    CliError::input(format!(
        "the image {IMAGE} isn't there, and this convoke can't be put into one: it is for {} on {}, and the engine's \
         containers are for Linux on {wanted}",
        std::env::consts::OS,
        std::env::consts::ARCH,
    ))
    .hint(format!(
        "a static convoke for that, beside this one, named {}; or --set control_plane_image=IMAGE",
        beside_name(wanted)
    ))
}

/// `convoke neon image`
pub(super) async fn make(session: &Session, given: Option<PathBuf>) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let wanted = architecture(&engine);
    let program = match &given {
        Some(path) => Program::of(path).filter(|program| runs_on(program, &wanted)),
        None => fitting(&wanted),
    };
    let what = given.as_deref().map_or_else(|| "this convoke".to_owned(), |path| path.display().to_string());
    let program = program.ok_or_else(|| {
        CliError::input(format!("{what} isn't a program for Linux on {wanted}, which is the engine's"))
            .hint("convoke neon image PATH-OF-A-STATIC-ONE")
    })?;
    load(&engine, &program).await?;
    session.printer.result(IMAGE);
    Ok(0)
}

/// The processor of the engine's machine, in Rust's word.
fn architecture(engine: &DockerEngine) -> String {
    match engine.architecture() {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        "" => std::env::consts::ARCH.to_owned(),
        other => other.to_owned(),
    }
}

fn beside_name(architecture: &str) -> String {
    format!("convoke-linux-{architecture}")
}

/// The program to put into the image.
fn fitting(architecture: &str) -> Option<Program> {
    let own = std::env::current_exe().ok()?;
    let name = beside_name(architecture);
    let beside = own.parent().map(|folder| [folder.join(&name), folder.join("../lib/convoke").join(&name)]);
    choose(&own, beside.as_ref().map_or(&[], |paths| paths.as_slice()), architecture)
}

/// One that was put beside this one for the purpose, else this one: static, or with its libraries.
fn choose(own: &Path, beside: &[PathBuf], architecture: &str) -> Option<Program> {
    let all = beside.iter().map(PathBuf::as_path).chain([own]);
    all.filter_map(Program::of).find(|program| runs_on(program, architecture))
}

/// One that is linked to libraries runs with this machine's, which are for this machine's processor.
fn runs_on(program: &Program, architecture: &str) -> bool {
    program.architecture == architecture && (program.loader.is_none() || architecture == std::env::consts::ARCH)
}

/// Nothing is read or sent if the engine has the image of this very file.
async fn load(engine: &DockerEngine, program: &Program) -> Result<(), CliError> {
    let failed = |error: io::Error| {
        CliError::failed(format!("can't make {IMAGE} of {}: {error}", program.path.display()))
            .hint("--set control_plane_image=IMAGE names another")
    };
    let identity = program.identity().map_err(failed)?;
    let before = engine.image(IMAGE).await?;
    if before.as_ref().is_some_and(|image| image.labels.get(PROGRAM) == Some(&identity)) {
        return Ok(());
    }
    let archive = image(program, identity).and_then(|image| image.archive()).map_err(failed)?;
    engine.load(&archive).await?;
    tracing::debug!("loaded {IMAGE} of {}", program.path.display());
    // What the name stood for is of no use to anyone, unless a container runs it.
    if let Some(before) = before.filter(|before| before.id != archive.id)
        && let Err(error) = engine.remove_image(&before.id).await
    {
        tracing::debug!("the former {IMAGE} stays: {error}");
    }
    Ok(())
}

/// What is in it. User, folders and their owner are as in Neon's images.
fn image(program: &Program, identity: String) -> io::Result<ScratchImage> {
    let own = |path: &str| ImageFile { uid: 1000, gid: 1000, ..ImageFile::directory(path, 0o755) };
    let mut files = vec![
        ImageFile::directory("/tmp", 0o1777),
        ImageFile::file("/etc/passwd", "root:x:0:0::/:\nneon:x:1000:1000::/data:\n".as_bytes()),
        ImageFile::file("/etc/group", "root:x:0:\nneon:x:1000:\n".as_bytes()),
        // Its peers' addresses are in the hosts file.
        ImageFile::file("/etc/nsswitch.conf", "hosts: files dns\n".as_bytes()),
        own("/data"),
        own("/keys"),
        own("/tokens"),
        own("/tokens/controller"),
        own("/tokens/pageserver"),
        own("/tokens/safekeeper"),
        own("/tokens/compute"),
        ImageFile::program("/usr/local/bin/convoke", program.content()?),
    ];
    if let Some(loader) = &program.loader {
        files.push(ImageFile::program(loader, std::fs::read(loader)?));
        for (name, path) in program.libraries()? {
            files.push(ImageFile::program(format!("{LIBRARIES}/{name}"), std::fs::read(path)?));
        }
    }
    Ok(ScratchImage {
        name: IMAGE.to_owned(),
        files,
        entrypoint: vec!["/usr/local/bin/convoke".into(), "neon".into(), "control-plane".into()],
        env: program.loader.iter().map(|_| format!("LD_LIBRARY_PATH={LIBRARIES}")).collect(),
        user: Some("1000:1000".into()),
        working_dir: Some("/data".into()),
        labels: vec![("convoke.image".into(), "control-plane".into()), (PROGRAM.into(), identity)],
        architecture: Some(program.architecture.to_owned()),
        ..ScratchImage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::archive::ImageFileKind;

    fn own() -> Program {
        Program::of(&std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_image_is_the_same_for_the_same_program_and_holds_what_that_needs() {
        let image = image(&own(), "x".into()).unwrap();
        let has = |path: &str| {
            let found = image.files.iter().find(|file| file.path == path);
            found.is_some_and(|file| matches!(&file.kind, ImageFileKind::File(content) if !content.is_empty()))
        };
        assert!(has("/usr/local/bin/convoke"));
        if let Some(loader) = own().loader {
            assert!(has(&loader) && has("/usr/local/lib/libc.so.6"), "{:?}", image.env);
            assert_eq!(image.env, ["LD_LIBRARY_PATH=/usr/local/lib"]);
        }
        assert!(image.name.starts_with("convoke/control-plane:"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_program_is_one_for_the_engine_s_processor() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let here = std::env::consts::ARCH;
        let beside = [folder.path().join(beside_name(here))];
        assert_eq!(choose(&own, &beside, here).unwrap().path, own);
        assert_eq!(choose(&own, &beside, "riscv64"), None);
        assert_eq!(choose(folder.path(), &beside, here), None);
        let said = unfit("riscv64");
        assert!(said.error.to_string().contains("the engine's containers are for Linux on riscv64"), "{said:?}");
        assert!(said.hint.as_deref().is_some_and(|hint| hint.contains("convoke-linux-riscv64")), "{said:?}");
        std::fs::copy(&own, &beside[0]).unwrap();
        assert_eq!(choose(&own, &beside, here).unwrap().path, beside[0]);
    }
}
