//! Base backups that become branches (`convoke neon timeline import`).

use std::fs::File;
use std::path::Path;

use serde_json::Value;

use super::whole::Neon;

const LABEL: &str = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n";

fn archive(path: &Path, files: &[(&str, &str)]) {
    let mut out = tar::Builder::new(File::create(path).unwrap());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        out.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    out.finish().unwrap();
}

/// What `pg_basebackup --format=tar` writes, as far as it is looked at. Some of it is longer than what is sent at once.
pub(super) fn backup(folder: &Path) {
    let long = "x".repeat(3_000_000);
    let base = [("backup_label", LABEL), ("PG_VERSION", "16\n"), ("base/1/1247", &long), ("global/pg_control", "x")];
    archive(&folder.join("base.tar"), &base);
    archive(&folder.join("pg_wal.tar"), &[("000000010000000000000002", &long)]);
    let manifest = r#"{"WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100"}]}"#;
    std::fs::write(folder.join("backup_manifest"), manifest).unwrap();
}

/// A branch `old`, and what is refused on the way.
pub(super) fn a_backup_becomes_a_branch(neon: &Neon) {
    let c = &neon.cluster;
    backup(c.path());
    let import = |more: &[&str]| {
        let begin = ["neon", "timeline", "import", "--branch-name", "old", "--base-tarfile"];
        c.run(&[&begin[..], more].concat())
    };
    let whole = ["base.tar", "--wal-tarfile", "pg_wal.tar"];
    import(&["none.tar"]).exits(2).says(&["can't read none.tar: No such file"]);
    import(&["backup_manifest"]).exits(2).says(&["backup_manifest is no tar archive, or damaged"]);
    import(&["base.tar", "--base-lsn", "0/3000028"]).exits(2).says(&["base.tar begins at 0/2000028"]);
    import(&["base.tar", "--pg-version", "17"]).exits(2).says(&["base.tar is of Postgres 16, and not 17"]);
    import(&[&whole[..], &["--end-lsn", "0/10"]].concat()).exits(2).says(&["the WAL can't end at 0/10"]);
    let nobody = "aaaa0000000000000000000000000009";
    import(&[&whole[..], &["--tenant-id", nobody]].concat()).exits(2).says(&["there is no tenant aaaa"]);
    let main = c.json(&["neon", "timeline", "list"])[0]["info"]["timeline_id"].as_str().unwrap().to_owned();
    import(&[&whole[..], &["--timeline-id", &main]].concat()).exits(2).says(&["is there already: it is branch"]);

    let made = import(&whole);
    made.exits(0).says(&["branch old, timeline ", "up to 0/2000100, Postgres 16"]);
    import(&whole).exits(2).says(&["the branch name old is taken"]);
    // With its id it is the same import once more, of which nothing is left to do.
    let id = made.out.split("timeline ").nth(1).and_then(|rest| rest.split(',').next()).expect("an id").to_owned();
    assert_eq!(import(&[&whole[..], &["--timeline-id", &id]].concat()).exits(0).out, made.out);
    let all = c.json(&["neon", "timeline", "list"]);
    let old = all.as_array().unwrap().iter().find(|view| view["branch"] == "old").expect("it is there");
    assert_eq!(
        (&old["info"]["last_record_lsn"], &old["info"]["ancestor_timeline_id"]),
        (&"0/2000100".into(), &Value::Null)
    );
    c.ok(&["neon", "endpoint", "create", "old"]);
    assert_eq!(neon.inside("endpoint-old", "select 1").exits(0).out.trim(), "1");
    let shown = neon.shows("endpoint-old", "neon.safekeepers");
    assert!(shown.starts_with("g#1:safekeeper-") && shown.split(',').count() == 3, "{shown}");
    c.ok(&["neon", "endpoint", "destroy", "old"]);
}
