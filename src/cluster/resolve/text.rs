//! Wording that several checks share.

use crate::compose::closest;

/// What to do about a name that isn't defined: the near miss if there is one, else where to define it.
pub(super) fn unknown<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, section: &str) -> String {
    near_miss(name, known).unwrap_or_else(|| format!("define it under the file's top-level \"{section}\""))
}

/// A question about the known name that may have been meant.
pub(super) fn near_miss<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(name, known).map(|near| format!("did you mean \"{near}\"?"))
}
