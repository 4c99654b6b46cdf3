//! Imports point one way: a module may use what stands before it in the list, never what stands after.
//!
//! The list is the one in `docs/architecture.md`.

use std::fs;
use std::path::{Path, PathBuf};

const LAYERS: [&str; 15] = [
    "names", "units", "mask", "event", "compose", "template", "cluster", "engine", "plan", "probe", "drive", "store",
    "report", "neon", "cli",
];

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The layer of a file below `src`: its folder, or its name.
fn layer_of(path: &Path) -> Option<usize> {
    let first = path.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    LAYERS.iter().position(|layer| *layer == name)
}

/// The layers that a line of code imports or names by path.
fn imports(text: &str) -> Vec<(usize, String)> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let mut found = Vec::new();
    // Unit tests at a file's foot may use what they like.
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    for (number, line) in code.lines().enumerate().filter(|(_, line)| is_code(line)) {
        for part in line.split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push((number + 1, name));
        }
    }
    found
}

#[test]
fn imports_point_down_the_list() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 50, "the source files are not where this test looks");
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).expect("it was found there");
        let is_test = relative.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part.contains("tests") || part == "testing.rs"
        });
        let Some(own) = layer_of(relative).filter(|_| !is_test) else { continue };
        for (line, name) in imports(&fs::read_to_string(&file).expect("src can be read")) {
            let Some(used) = LAYERS.iter().position(|layer| *layer == name) else { continue };
            if used > own {
                wrong.push(format!("src/{}:{line}: {} uses {name}", relative.display(), LAYERS[own]));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up:\n{}", wrong.join("\n"));
}
