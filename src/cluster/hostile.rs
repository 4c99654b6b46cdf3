//! Any bytes as Compose files: the way of a file through this program, without anything that is started or read.
//!
//! For a fuzzer (`fuzz/`), and for the property test below, which runs the same on every test run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{ResolveOptions, resolve};
use crate::compose::{self, Environment, LoadOptions, Source};

/// A byte that divides the input into files, of which later ones are laid over earlier ones.
const DIVIDES: char = '\u{c}';
/// A folder that isn't there, so that what a file names isn't either.
const NOWHERE: &str = "/nowhere/convoke-hostile";

/// Loads, merges, prints and resolves the bytes. Whatever is wrong with them is an error with a place; and what is printed
/// of a good file reads back as the same.
///
/// # Panics
/// When it doesn't: that is what it is for.
pub fn exercise(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let sources: Vec<Source> = text.split(DIVIDES).take(4).enumerate().map(source).collect();
    let options = options();
    if let Ok((canonical, _)) = compose::load_raw(&sources, &options, true) {
        _ = canonical.yaml();
    }
    let loaded = match compose::load(&sources, &options) {
        Ok(loaded) => loaded,
        Err(problems) => {
            _ = problems.to_string();
            return;
        }
    };
    let describing = ResolveOptions { engine_is_local: true, describes_only: true, ..ResolveOptions::default() };
    if let Err(problems) = resolve(&loaded, &describing) {
        _ = problems.to_string();
    }
    let printed = loaded.canonical(true).yaml();
    _ = loaded.canonical(true).json();
    // Secrets are printed as stars, and dollars of values are doubled: both read back as themselves.
    let again = compose::load(&[source((0, &printed))], &options);
    let again = again.unwrap_or_else(|problems| panic!("what is printed isn't read:\n{problems}\n{printed}"));
    assert_eq!(again.canonical(true).yaml(), printed, "it reads back as something else");
}

fn source((number, text): (usize, &str)) -> Source {
    Source { name: format!("{number}.yaml"), text: text.to_owned(), path: None }
}

fn options() -> LoadOptions {
    let variables = [("A", "value"), ("EMPTY", ""), ("N", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    LoadOptions {
        env: Environment::new(BTreeMap::from(variables), Path::new(NOWHERE), &[]),
        project_name: Some("hostile".to_owned()),
        working_dir: Some(PathBuf::from(NOWHERE)),
        describes_only: true,
        ..LoadOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// The files of the corpus: what is nearly right goes deeper than noise.
    static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
        files.sort();
        files.iter().map(|path| std::fs::read(path).unwrap()).collect()
    });

    /// A change of some bytes: a place, what goes there instead, and how much it takes the place of.
    fn change() -> impl Strategy<Value = (prop::sample::Index, Vec<u8>, usize)> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..4),
            "[-\\[\\]{}:,|>&*!#\"'$\n \t?%@`~<]{0,4}".prop_map(String::into_bytes),
            "(\\$\\{A|\\$\\{X:-|!reset|!override|<<: |\\*a|&a |null|\u{c}services:|- |: |extends: |include: )"
                .prop_map(String::into_bytes),
        ];
        (any::<prop::sample::Index>(), piece, 0_usize..8)
    }

    fn changed(mut bytes: Vec<u8>, changes: Vec<(prop::sample::Index, Vec<u8>, usize)>) -> Vec<u8> {
        for (place, piece, length) in changes {
            let at = if bytes.is_empty() { 0 } else { place.index(bytes.len()) };
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, piece);
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn noise_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            exercise(&bytes);
        }

        #[test]
        fn a_file_that_was_tampered_with_is_read_or_refused(
            file in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
            two in any::<bool>(),
            changes in prop::collection::vec(change(), 0..5),
        ) {
            let mut bytes = file.get(&CORPUS).clone();
            if two {
                bytes.extend([b"\x0c".to_vec(), other.get(&CORPUS).clone()].concat());
            }
            exercise(&changed(bytes, changes));
        }
    }

    #[test]
    fn every_file_of_the_corpus_reads_back_as_itself() {
        CORPUS.iter().for_each(|file| exercise(file));
    }
}
