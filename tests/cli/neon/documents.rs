//! What the documents about Neon say is tested, is.

use std::path::Path;

/// `module::test`, or the beginning of a test's name and `…`.
fn names(text: &str) -> Vec<(String, String)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let pair = |text: &str| {
        let (module, name) = text.split_once("::")?;
        let is_word =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || "_0123456789…".contains(c));
        (is_word(module) && is_word(name)).then(|| (module.to_owned(), name.trim_end_matches('…').to_owned()))
    };
    quoted.filter_map(pair).collect()
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: String| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let mut missing = Vec::new();
    let mut count = 0;
    for document in ["docs/neon-parity.md", "docs/neon.md"] {
        for (module, name) in names(&read(document.to_owned())) {
            count += 1;
            let places = [
                format!("tests/cli/neon/{module}.rs"),
                format!("src/neon/{module}.rs"),
                format!("src/{module}/tests.rs"),
            ];
            if !places.into_iter().any(|place| read(place).contains(&format!("fn {name}"))) {
                missing.push(format!("{document}: {module}::{name}"));
            }
        }
    }
    assert!(count > 20 && missing.is_empty(), "of {count} names these aren't there: {missing:#?}");
}
