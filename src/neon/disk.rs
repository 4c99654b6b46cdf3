//! Files that are whole or not there, whenever the program or the machine dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is in a file; None if there is no such file.
///
/// # Errors
/// When it can't be read.
pub fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(error, "read", file)),
    }
}

/// Writes a file beside its place, makes sure that it is on the disk, and moves it there.
///
/// # Errors
/// When it can't be written.
pub fn write(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = file.to_path_buf();
    temporary.as_mut_os_string().push(".new");
    let put = || {
        let mut out = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&temporary)?;
        out.write_all(content)?;
        out.sync_all()?;
        fs::rename(&temporary, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    put().map_err(|error| named(error, "write", file))
}

fn named(error: io::Error, doing: &str, file: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("can't {doing} {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x");
        assert_eq!(read(&file).unwrap(), None);
        write(&file, b"one", 0o600).unwrap();
        write(&file, b"two", 0o600).unwrap();
        assert_eq!(read(&file).unwrap().unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let missing = write(&directory.path().join("no/such"), b"", 0o600).unwrap_err();
        assert!(missing.to_string().starts_with("can't write "), "{missing}");
    }
}
