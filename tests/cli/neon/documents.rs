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

/// How many rows each part of the comparison has.
const ROWS: [(char, usize); 8] = [('A', 16), ('B', 17), ('C', 12), ('D', 14), ('E', 21), ('F', 6), ('G', 5), ('H', 6)];

#[test]
fn every_row_of_the_comparison_has_a_verdict() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/neon-parity.md")).unwrap();
    let mut wanted = ROWS.iter().flat_map(|(part, rows)| (1..=*rows).map(move |row| format!("{part}{row}")));
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| | ")) {
        // A bar within a cell has a backslash before it.
        let cells: Vec<String> = line.replace(r"\|", " or ").split(" | ").map(str::to_owned).collect();
        let id = cells[0].trim_start_matches("| ");
        if id.starts_with("**") {
            continue;
        }
        let verdict = cells.last().and_then(|cell| cell.trim_end_matches(" |").split_once(": "));
        let is_right = cells.len() == 5
            && wanted.next().as_deref() == Some(id)
            && match verdict {
                Some(("done" | "better", how)) => !names(how).is_empty(),
                Some(("not", why)) => why.len() > 10,
                _ => false,
            };
        if !is_right {
            wrong.push(line);
        }
    }
    assert_eq!((wrong, wanted.next()), (Vec::<&str>::new(), None));
}

/// The recordings of the real programs came with 26.
#[test]
fn every_remark_on_the_real_programs_is_there() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/neon.md")).unwrap();
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ").map(|(first, _)| first));
    let numbers = cells.flat_map(|cell| cell.split(", ").map(str::parse::<u32>).collect::<Result<Vec<_>, _>>());
    let mut there: Vec<u32> = numbers.flatten().collect();
    there.sort_unstable();
    assert_eq!(there, (1..=26).collect::<Vec<_>>());
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
                format!("tests/cli/{module}.rs"),
                format!("src/neon/{module}.rs"),
                format!("src/cli/neon/{module}.rs"),
                format!("src/{module}/tests.rs"),
            ];
            if !places.into_iter().any(|place| read(place).contains(&format!("fn {name}"))) {
                missing.push(format!("{document}: {module}::{name}"));
            }
        }
    }
    assert!(count > 20 && missing.is_empty(), "of {count} names these aren't there: {missing:#?}");
}
