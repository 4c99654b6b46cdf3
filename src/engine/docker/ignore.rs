//! `.dockerignore`: which files of a build context aren't sent.
//!
//! The rules are Docker's: a pattern is matched against the path relative to the context, segment by segment; `*`, `?`
//! and `[…]` don't cross a slash, `**` does; a pattern that matches a directory takes all in it; `!` brings back; the
//! last pattern that matches decides.

/// The patterns of an ignore file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    segments: Vec<String>,
    brings_back: bool,
}

impl Ignore {
    /// Parses an ignore file. No text is invalid; a broken `[` is a plain character.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rules: text.lines().filter_map(Rule::parse).collect() }
    }

    /// Whether this file or directory isn't sent. `path` is relative, with `/` between its parts.
    pub(super) fn excludes(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let decided = self.rules.iter().rev().find(|rule| rule.matches(&parts));
        decided.is_some_and(|rule| !rule.brings_back)
    }

    /// Whether nothing below an excluded directory can be sent either, so that it needn't be read.
    pub(super) fn prunes(&self) -> bool {
        self.rules.iter().all(|rule| !rule.brings_back)
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let line = line.trim();
        let (brings_back, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let mut segments: Vec<String> = Vec::new();
        for segment in pattern.split('/') {
            match segment {
                "" | "." => {}
                ".." => _ = segments.pop(),
                other => segments.push(other.to_owned()),
            }
        }
        (!segments.is_empty()).then_some(Self { segments, brings_back })
    }

    /// Matches the path or one of the directories that it is in.
    fn matches(&self, path: &[&str]) -> bool {
        (1..=path.len()).any(|length| matches_segments(&self.segments, &path[..length]))
    }
}

/// One row a segment of the pattern, so that many `**` cost no more than the product of the lengths.
fn matches_segments(pattern: &[String], path: &[&str]) -> bool {
    let mut reachable = vec![false; path.len() + 1];
    reachable[0] = true;
    for segment in pattern {
        let mut next = vec![false; path.len() + 1];
        if segment == "**" {
            let mut open = false;
            for (at, reached) in reachable.iter().enumerate() {
                open |= *reached;
                next[at] = open;
            }
        } else {
            for (at, part) in path.iter().enumerate() {
                next[at + 1] = reachable[at] && matches_text(segment, part);
            }
        }
        reachable = next;
    }
    reachable[path.len()]
}

/// What one place of a pattern stands for.
enum Token {
    Any,
    AnyRun,
    Exactly(char),
    OneOf { ranges: Vec<(char, char)>, negated: bool },
}

/// Shell-like matching within one segment, without backtracking deeper than the last `*`.
fn matches_text(pattern: &str, text: &str) -> bool {
    let tokens = tokens(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match tokens.get(p) {
            Some(Token::AnyRun) => {
                star = Some((p, t));
                p += 1;
            }
            Some(token) if token.accepts(text[t]) => {
                t += 1;
                p += 1;
            }
            _ => {
                let Some((at, began)) = star else { return false };
                star = Some((at, began + 1));
                (p, t) = (at + 1, began + 1);
            }
        }
    }
    tokens[p..].iter().all(|token| matches!(token, Token::AnyRun))
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::AnyRun => false,
            Self::Exactly(wanted) => *wanted == c,
            Self::OneOf { ranges, negated } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut all = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let (token, length) = match chars[at] {
            '*' => (Token::AnyRun, 1),
            '?' => (Token::Any, 1),
            '\\' if at + 1 < chars.len() => (Token::Exactly(chars[at + 1]), 2),
            '[' => class(&chars[at..]).unwrap_or((Token::Exactly('['), 1)),
            other => (Token::Exactly(other), 1),
        };
        all.push(token);
        at += length;
    }
    all
}

/// `[a-z]` or `[^a-z]`, and its length; None if it isn't closed.
fn class(chars: &[char]) -> Option<(Token, usize)> {
    let negated = chars.get(1) == Some(&'^');
    let start = if negated { 2 } else { 1 };
    let end = start + chars[start..].iter().position(|c| *c == ']')?;
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        if at + 2 < end && chars[at + 1] == '-' {
            ranges.push((chars[at], chars[at + 2]));
            at += 3;
        } else {
            ranges.push((chars[at], chars[at]));
            at += 1;
        }
    }
    (!ranges.is_empty()).then_some((Token::OneOf { ranges, negated }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Examples of Docker's documentation, and cases of its matcher's tests.
    #[test]
    fn patterns() {
        for (pattern, path, excluded) in [
            ("*/temp*", "somedir/temporary.txt", true),
            ("*/temp*", "somedir/temp", true),
            ("*/*/temp*", "somedir/subdir/temporary.txt", true),
            ("*/*/temp*", "somedir/temporary.txt", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("**/*.go", "main.go", true),
            ("**/*.go", "a/b/main.go", true),
            ("target", "target/debug/x", true),
            ("target", "src/target", false),
            ("/target/", "target/x", true),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**", "a/b", true),
            ("**", "anything/at/all", true),
            ("./foo/../bar", "bar", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[a-", "[a-", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("# comment", "# comment", false),
            ("  spaced  ", "spaced", true),
            ("*", "dir/file", true),
            (".", "x", false),
        ] {
            assert_eq!(Ignore::parse(pattern).excludes(path), excluded, "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_match_decides() {
        let ignore = Ignore::parse("*.md\n!README*.md\nREADME-secret.md\n");
        assert!(ignore.excludes("x.md") && ignore.excludes("README-secret.md"));
        assert!(!ignore.excludes("README.md") && !ignore.prunes());
        let ignore = Ignore::parse("docs\n!docs/keep\n");
        assert!(ignore.excludes("docs/x") && !ignore.excludes("docs/keep/x"));
        assert!(Ignore::parse("a\nb").prunes() && !Ignore::default().excludes("x"));
    }

    proptest! {
        #[test]
        fn any_file_is_taken(text in "[!#*?a/.\\[\\]^\\\\\n -]{0,40}", path in "[a./]{1,12}") {
            let _ = Ignore::parse(&text).excludes(&path);
        }

        #[test]
        fn a_plain_name_matches_itself(path in "[a-z]{1,5}(/[a-z]{1,5}){0,3}") {
            prop_assert!(Ignore::parse(&path).excludes(&path));
        }
    }
}
