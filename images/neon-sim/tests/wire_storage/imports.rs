//! Base backups that become timelines. Not among the recorded situations: written from what neon_local sends.

use serde_json::{Value, json};

use crate::controller::Controller;
use crate::node::{MAIN, Node, TENANT, msg};

const OLD: &str = "f00d0000000000000000000000000042";

/// As text: what is in these archives is ASCII.
fn archive(files: &[(&str, &str)]) -> Value {
    let mut out = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.extend(header);
        out.extend(content.as_bytes());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    Value::String(String::from_utf8(out).expect("ASCII"))
}

#[tokio::test]
async fn a_backup_becomes_a_timeline_and_its_wal_follows() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    let base = |query: &str| format!("/v1/tenant/{TENANT}/timeline/{OLD}/import_basebackup?{query}");
    let wal = |query: &str| format!("/v1/tenant/{TENANT}/timeline/{OLD}/import_wal?{query}");
    let elsewhere = "/v1/tenant/bbbb0000000000000000000000000001/timeline/f00d0000000000000000000000000042/\
                     import_basebackup?base_lsn=0/2000028&end_lsn=0/2000100&pg_version=16";
    let there = format!("/v1/tenant/{TENANT}/timeline/{MAIN}/import_basebackup?base_lsn=0/1&end_lsn=0/1&pg_version=17");
    let right = "base_lsn=0/2000028&end_lsn=0/2000100&pg_version=16";
    let backup = || archive(&[("PG_VERSION", "16\n"), ("global/pg_control", "x")]);
    let segment = || archive(&[("000000010000000000000002", "x")]);
    let rows = [
        (
            base("base_lsn=0/2000028&pg_version=16"),
            backup(),
            400,
            "\"cannot parse query param missing field `end_lsn`\"",
        ),
        (base("base_lsn=x&end_lsn=0/1&pg_version=16"), backup(), 400, "<text>"),
        (base("base_lsn=0/1&end_lsn=0/1&pg_version=13"), backup(), 400, "\"cannot parse query param pg_version: 13\""),
        (base("base_lsn=0/2&end_lsn=0/1&pg_version=16"), backup(), 500, "end_lsn 0/1 is before base_lsn 0/2"),
        (elsewhere.to_owned(), backup(), 404, "NotFound: Tenant bbbb0000000000000000000000000001 not found"),
        (there, backup(), 500, "<text>"),
        (base(right), json!(""), 500, "failed to import: unexpected end of file"),
        (base(right), json!("x".repeat(512)), 500, "failed to import: archive header checksum mismatch"),
        (base(right), archive(&[("PG_VERSION", "16\n")]), 500, "failed to import: pg_control file not found"),
        (
            base("base_lsn=0/2000028&end_lsn=0/2000100&pg_version=17"),
            backup(),
            500,
            "failed to import: the backup is of Postgres 16, not 17",
        ),
        (wal("start_lsn=0/2000028&end_lsn=0/2000100"), segment(), 404, "<text>"),
    ];
    for (path, body, status, why) in rows {
        node.expect("PUT", &path, body, status, msg(why)).await;
    }
    node.expect("PUT", &base(right), backup(), 200, Value::Null).await;
    let again = format!("timeline {TENANT}/{OLD} already exists");
    node.expect("PUT", &base(right), backup(), 500, msg(&again)).await;
    let wrong = "Cannot import WAL from Lsn 0/2000030 because timeline does not start from the same lsn: 0/2000028";
    node.expect("PUT", &wal("start_lsn=0/2000030&end_lsn=0/2000100"), segment(), 500, msg(wrong)).await;
    let none = archive(&[("x", "y")]);
    node.expect("PUT", &wal("start_lsn=0/2000028&end_lsn=0/2000100"), none, 500, msg("no WAL segment in the archive"))
        .await;
    node.expect("PUT", &wal("start_lsn=0/2000028&end_lsn=0/2000100"), segment(), 200, Value::Null).await;
    let path = format!("/v1/tenant/{TENANT}/timeline/{OLD}");
    let info = node.expect("GET", &path, Value::Null, 200, json!("<object>")).await;
    let seen = (&info["pg_version"], &info["last_record_lsn"], &info["initdb_lsn"], &info["ancestor_timeline_id"]);
    assert_eq!(seen, (&json!(16), &json!("0/2000100"), &json!("0/2000028"), &Value::Null));
}
