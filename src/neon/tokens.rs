//! Tokens between the storage programs. Each program finds those that it needs as files in a folder that is mounted
//! into its kind alone; the key that signs them stays with the control plane.

use std::io;
use std::path::Path;

use serde_json::json;

use super::disk;
use super::ids::TenantId;
use super::keys::Keys;

/// What the storage controller says to the control plane's hook with.
pub const HOOK: &str = "compute_hook";
/// What computes ask the control plane for their specification with.
pub const SPEC: &str = "compute_spec";
/// What a person may be given a token for; `tenant` goes with a tenant.
pub const FOR_PEOPLE: [&str; 7] =
    ["admin", "infra", "pageserverapi", "safekeeperdata", "generations_api", "scrubber", "tenant"];

/// Folders, and the scopes of the tokens in them: a file each, named by its scope.
const FOLDERS: [(&str, &[&str]); 4] = [
    ("controller", &["pageserverapi", "safekeeperdata", "controller_peer", HOOK]),
    ("pageserver", &["generations_api", "safekeeperdata"]),
    ("safekeeper", &["safekeeperdata"]),
    ("compute", &[SPEC]),
];
/// Only its container has a folder. The user of an image for computes isn't known for sure.
const MODE: u32 = 0o444;

/// Writes those files that aren't there yet, or were signed with another key.
///
/// # Errors
/// When a file can't be read or written.
pub fn write(keys: &Keys, root: &Path) -> io::Result<()> {
    for (folder, scopes) in FOLDERS {
        for scope in scopes {
            let file = root.join(folder).join(scope);
            let token = keys.token(&json!({ "scope": scope }));
            if disk::read(&file)?.as_deref() != Some(token.as_bytes()) {
                disk::write(&file, token.as_bytes(), MODE)?;
            }
        }
    }
    Ok(())
}

/// For a compute: the password that pageservers and safekeepers want of it.
#[must_use]
pub fn of_tenant(keys: &Keys, tenant: TenantId) -> String {
    keys.token(&json!({ "scope": "tenant", "tenant_id": tenant }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn tokens_are_written_once_for_each_key() {
        let root = tempfile::tempdir().unwrap();
        for (folder, _) in FOLDERS {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let file = root.path().join("pageserver/generations_api");
        write(&Keys::of_seed(1), root.path()).unwrap();
        let (first, written) = (fs::read_to_string(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
        assert_eq!(Keys::of_seed(1).claims(&first).unwrap()["scope"], "generations_api");
        write(&Keys::of_seed(1), root.path()).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
        write(&Keys::of_seed(2), root.path()).unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), first);
        fs::remove_dir_all(root.path().join("compute")).unwrap();
        assert!(write(&Keys::of_seed(2), root.path()).unwrap_err().to_string().contains("compute_spec"));
    }
}
