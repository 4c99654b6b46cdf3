//! Keeps secret values out of everything that people or files get to see.
//!
//! The driver masks log lines and probe answers before they become events; reporters mask once more. It finds values
//! as they are, as JSON writes them, and line by line where a secret has several lines (log lines come one at a time).

/// What stands in for a secret.
pub const MASK: &str = "***";

/// Lines of a secret with several lines are searched for by themselves from this length on (in bytes): a shorter one,
/// such as a lone brace, would mask half of every text and tells nothing.
const SHORTEST_LINE: usize = 4;

/// Replaces known secret values in any text.
#[derive(Clone, Default)]
pub struct Masker {
    /// What is searched for; none is empty.
    needles: Vec<String>,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masker({} needles)", self.needles.len())
    }
}

impl Masker {
    /// A masker of these values. Blank ones are ignored, space around a value (a file's last newline) doesn't count.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut needles = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref().trim();
            let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            for needle in std::iter::once(secret).chain(lines).filter(|needle| !needle.is_empty()) {
                needles.push(needle.to_owned());
                needles.push(json_form(needle));
            }
        }
        needles.sort();
        needles.dedup();
        Self { needles }
    }

    /// Whether it has nothing to look for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Whether a secret is in the text.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// The text with every secret replaced by [`MASK`]. Occurrences that overlap or touch become one mask.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut shown_to = 0;
        let mut hidden = self.occurrences(text).into_iter().peekable();
        while let Some((start, mut end)) = hidden.next() {
            while let Some((_, further)) = hidden.next_if(|(next, _)| *next <= end) {
                end = end.max(further);
            }
            masked.push_str(&text[shown_to..start]);
            masked.push_str(MASK);
            shown_to = end;
        }
        masked.push_str(&text[shown_to..]);
        masked
    }

    /// Byte ranges of every occurrence of every needle, overlapping ones too, by their start.
    fn occurrences(&self, text: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for needle in &self.needles {
            let first = needle.chars().next().map_or(1, char::len_utf8);
            let mut from = 0;
            while let Some(offset) = text[from..].find(needle.as_str()) {
                let start = from + offset;
                found.push((start, start + needle.len()));
                from = start + first;
            }
        }
        found.sort_unstable();
        found
    }
}

/// The value as it looks inside a JSON string, which structured logs print.
fn json_form(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_replaced_wherever_they_stand() {
        let masker = Masker::new(["hunter2\n", "", "  ", "s3cret"]);
        assert_eq!(masker.mask("login with hunter2 or s3cret"), "login with *** or ***");
        assert_eq!(masker.mask("hunter2s3cret!"), "***!");
        assert_eq!(masker.mask("nothing here"), "nothing here");
        assert_eq!(Masker::default().mask("as is"), "as is");
    }

    #[test]
    fn overlapping_secrets_leave_nothing_of_either() {
        assert_eq!(Masker::new(["abcd", "cdef"]).mask("-abcdef-"), "-***-");
        assert_eq!(Masker::new(["aba"]).mask("ababa"), "***");
    }

    #[test]
    fn each_line_of_a_key_is_a_secret_but_a_brace_is_not() {
        let masker = Masker::new(["{\n-----BEGIN-----\nMIIBVQ==\n}"]);
        assert_eq!(masker.mask("read MIIBVQ== {ok}"), "read *** {ok}");
    }

    #[test]
    fn a_value_is_found_in_json_too() {
        let masker = Masker::new(["pa\"ss\\word"]);
        assert_eq!(masker.mask(r#"{"password":"pa\"ss\\word"}"#), r#"{"password":"***"}"#);
    }

    #[test]
    fn a_masker_does_not_print_what_it_hides() {
        assert_eq!(format!("{:?}", Masker::new(["hunter2"])), "Masker(1 needles)");
    }

    proptest! {
        /// A small alphabet makes overlaps likely; without `*`, which the mask itself is made of.
        #[test]
        fn no_secret_survives(
            secrets in proptest::collection::vec("[abc\"\\\\]{1,5}", 1..4),
            text in "[abc\"\\\\ é]{0,40}",
        ) {
            let masked = Masker::new(&secrets).mask(&text);
            for secret in &secrets {
                prop_assert!(!masked.contains(secret.as_str()), "{secret:?} in {masked:?}");
            }
        }

        #[test]
        fn text_around_a_secret_is_kept(before in "[a-z ]{0,20}", after in "[a-z ]{0,20}") {
            let masked = Masker::new(["SECRET"]).mask(&format!("{before}SECRET{after}"));
            prop_assert_eq!(masked, format!("{before}***{after}"));
        }
    }
}
