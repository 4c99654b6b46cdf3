//! What the container looks like from inside, and what a start leaves behind.

use std::fs;
use std::path::Path;

use crate::log;
use crate::options::Options;

/// Prints the environment, sorted, one `NAME=value` a line.
pub fn print_environment() {
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    for (name, value) in variables {
        log(&format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
    }
}

/// Counts this start in a file under `state` and returns its number, from 1.
///
/// # Errors
/// When the file can't be read as a number or can't be written.
pub fn count_start(state: &Path) -> Result<u64, String> {
    let path = state.join("starts");
    let before = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| format!("{} holds no number", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0u64,
        Err(error) => return Err(format!("can't read {}: {error}", path.display())),
    };
    let n = before.saturating_add(1);
    fs::write(&path, format!("{n}\n")).map_err(|error| format!("can't write {}: {error}", path.display()))?;
    Ok(n)
}

/// Does `--uid-check`, `--write` and `--cat`.
///
/// # Errors
/// When a file can't be written or read.
pub fn show(options: &Options) -> Result<(), String> {
    if options.uid_check {
        log(&ids()?);
    }
    if let Some(path) = &options.write {
        fs::write(path, format!("written by {}\n", ids()?))
            .map_err(|error| format!("can't write {}: {error}", path.display()))?;
        log(&format!("wrote {}", path.display()));
    }
    for path in &options.cat {
        let content = fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
        log(&format!("{}: {}", path.display(), String::from_utf8_lossy(&content).trim_end()));
    }
    Ok(())
}

/// `uid N gid N`: the effective ids. The kernel tells them in a file, so no unsafe call is needed.
fn ids() -> Result<String, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| format!("can't read its own ids: {error}"))?;
    let id = |key| status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().nth(1)).unwrap_or("?");
    Ok(format!("uid {} gid {}", id("Uid:"), id("Gid:")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_counted() {
        let state = std::env::temp_dir().join(format!("probe-target-{}", std::process::id()));
        fs::create_dir(&state).unwrap();
        let counted = [count_start(&state), count_start(&state)];
        fs::write(state.join("starts"), "x").unwrap();
        let spoiled = count_start(&state);
        fs::remove_dir_all(&state).unwrap();
        assert_eq!(counted, [Ok(1), Ok(2)]);
        assert!(spoiled.unwrap_err().contains("no number"));
    }

    #[test]
    fn its_ids_are_numbers() {
        let ids = ids().unwrap();
        let words: Vec<_> = ids.split(' ').collect();
        assert!(
            matches!(words[..], ["uid", uid, "gid", gid] if uid.parse::<u32>().is_ok() && gid.parse::<u32>().is_ok())
        );
    }
}
