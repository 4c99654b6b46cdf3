//! What an answer should look like: JSON in which `<int>` and the like stand for values that differ.

use serde_json::Value;

/// Panics with the place of the first difference. Objects have to have the same keys; `<text>` and others are types,
/// `<null|int>` is one of several.
pub fn assert_like(what: &str, seen: &Value, pattern: &Value) {
    if let Err(place) = compare(seen, pattern, "") {
        panic!("{what}: differs at {place}\nseen:    {seen}\nwanted:  {pattern}");
    }
}

fn compare(seen: &Value, pattern: &Value, place: &str) -> Result<(), String> {
    match (seen, pattern) {
        (_, Value::String(kind)) if kind.starts_with('<') && kind.ends_with('>') => {
            let fits = kind[1..kind.len() - 1].split('|').any(|kind| is_kind(seen, kind));
            if fits { Ok(()) } else { Err(format!("{place}: {seen} isn't {kind}")) }
        }
        (Value::Object(seen), Value::Object(pattern)) => {
            if let Some(key) = seen.keys().find(|key| !pattern.contains_key(*key)) {
                return Err(format!("{place}.{key}: unexpected"));
            }
            for (key, pattern) in pattern {
                let value = seen.get(key).ok_or_else(|| format!("{place}.{key}: missing"))?;
                compare(value, pattern, &format!("{place}.{key}"))?;
            }
            Ok(())
        }
        (Value::Array(seen), Value::Array(pattern)) if seen.len() == pattern.len() => {
            let pairs = seen.iter().zip(pattern).enumerate();
            pairs
                .into_iter()
                .try_for_each(|(index, (seen, pattern))| compare(seen, pattern, &format!("{place}[{index}]")))
        }
        _ if seen == pattern => Ok(()),
        _ => Err(format!("{place}: {seen} isn't {pattern}")),
    }
}

fn is_kind(value: &Value, kind: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match kind {
        "any" => true,
        "null" => value.is_null(),
        "int" => value.is_u64(),
        "bool" => value.is_boolean(),
        "text" => value.is_string(),
        "object" => value.is_object(),
        "ints" => value.as_array().is_some_and(|all| all.iter().all(Value::is_u64)),
        "lsn" => value.as_str().and_then(|text| text.split_once('/')).is_some_and(|(high, low)| hex(high) && hex(low)),
        "time" => value.as_str().is_some_and(|text| text.len() >= 20 && text.contains('T') && text.ends_with('Z')),
        other => panic!("no such kind: {other}"),
    }
}
