//! YAML text becomes a tree of nodes. The only user of the YAML parser.
//!
//! The event parser is used directly, not through serde: so every part has its place, a duplicate key doesn't hide the
//! next problem, and no error speaks of Rust types. Size, depth and the nodes that aliases may multiply are limited.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::{Entry, Kind, Map, Mark, Node, Scalar};
use super::place::{Place, SourceText};

/// Largest file in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting, aliases included.
const MAX_DEPTH: usize = 64;
/// Most nodes of a document, aliases counted as often as they are used.
pub(super) const MAX_NODES: usize = 50_000;

/// Parses a document. None if it is empty, or so broken that nothing can be said of it; then `out` has the reason.
pub(crate) fn parse(source: &Arc<SourceText>, out: &mut Diagnostics) -> Option<Node> {
    let mut documents = parse_all(source, out).into_iter();
    let first = documents.next();
    if let Some(second) = documents.next() {
        out.error(&second.at, "a second document isn't supported; use one file for each");
    }
    first
}

/// Parses all documents of a text. None of them if it is so broken that nothing can be said of it; then `out` has the
/// reason.
pub(super) fn parse_all(source: &Arc<SourceText>, out: &mut Diagnostics) -> Vec<Node> {
    if source.text().len() > MAX_BYTES {
        out.error(&Place::whole_file(source), "the file is larger than 4 MiB");
        return Vec::new();
    }
    let mut options = Options::default();
    options.block_nesting_limit = MAX_DEPTH;
    options.flow_nesting_limit = MAX_DEPTH;
    let events = Parser::new_from_str_with_options(source.text(), options);
    let mut composer = Composer { source, out, events, anchors: HashMap::new(), nodes: 0 };
    match composer.documents() {
        Ok(documents) => documents,
        Err(Stop(diagnostic)) => {
            out.push(*diagnostic);
            Vec::new()
        }
    }
}

/// A problem after which the rest of the document can't be understood.
struct Stop(Box<Diagnostic>);

struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

struct Composer<'a> {
    source: &'a Arc<SourceText>,
    out: &'a mut Diagnostics,
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
}

impl<'a> Composer<'a> {
    fn documents(&mut self) -> Result<Vec<Node>, Stop> {
        let mut documents = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                event => documents.push(self.node(event, &span, 0)?.0),
            }
        }
        Ok(documents)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => Err(self.syntax(&error)),
        }
    }

    fn expect_next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        let next = self.next()?;
        next.ok_or_else(|| {
            Stop(Box::new(Diagnostic::error(&Place::whole_file(self.source), "the document ends too early")))
        })
    }

    /// Reads the node that begins with `event`. Returns it with the depth below it.
    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<(Node, usize), Stop> {
        self.count(1, depth, span)?;
        let before = self.nodes;
        let at = self.place(span);
        let mark;
        let (anchor, kind, below) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                mark = self.mark(tag.as_deref(), span);
                let forced = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
                let plain = style == ScalarStyle::Plain && !forced;
                (anchor, Kind::Scalar(Scalar { text: text.into_owned(), plain }), 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                mark = self.mark(tag.as_deref(), span);
                let (list, below) = self.list(depth)?;
                (anchor, Kind::List(list), below)
            }
            Event::MappingStart(_, anchor, tag) => {
                mark = self.mark(tag.as_deref(), span);
                let (map, below) = self.map(depth)?;
                (anchor, Kind::Map(map), below)
            }
            _ => return Err(self.stop(span, "a value is missing here")),
        };
        let node = Node { at, kind, mark };
        if anchor != 0 {
            let nodes = self.nodes - before + 1;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, depth: below });
        }
        Ok((node, below))
    }

    fn alias(&mut self, id: usize, span: &Span, depth: usize) -> Result<(Node, usize), Stop> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(self.stop(span, "an alias inside its own anchor isn't supported"));
        };
        let (nodes, below) = (anchored.nodes, anchored.depth);
        self.count(nodes, depth + below, span)?;
        // Cloned only after it was counted: an alias bomb ends here.
        Ok((self.anchors[&id].node.clone(), below))
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Stop> {
        let mut list = Vec::new();
        let mut below = 0;
        loop {
            let (event, span) = self.expect_next()?;
            if event == Event::SequenceEnd {
                return Ok((list, below + 1));
            }
            let (node, deep) = self.node(event, &span, depth + 1)?;
            below = below.max(deep);
            list.push(node);
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Map, usize), Stop> {
        let mut map = Map::new();
        let mut merges = Vec::new();
        let mut below = 0;
        loop {
            let (event, span) = self.expect_next()?;
            if event == Event::MappingEnd {
                break;
            }
            let (key, _) = self.node(event, &span, depth + 1)?;
            let (event, span) = self.expect_next()?;
            let (value, deep) = self.node(event, &span, depth + 1)?;
            below = below.max(deep);
            self.insert(&mut map, &mut merges, key, value);
        }
        for merge in merges {
            self.merge(&mut map, merge);
        }
        Ok((map, below + 1))
    }

    fn insert(&mut self, map: &mut Map, merges: &mut Vec<Node>, key: Node, value: Node) {
        let Kind::Scalar(Scalar { text, plain }) = key.kind else {
            self.out.error(&key.at, format!("a key must be a string, but this is {}", key.describe()));
            return;
        };
        if plain && text == "<<" {
            merges.push(value);
            return;
        }
        if let Some(first) = map.get(&text) {
            // The second may be the content of a secret, and isn't in the tree.
            if text == "content" {
                value.at.hide_line();
            }
            let first = format!("the first is at {}", first.key);
            self.out.push(Diagnostic::error(&key.at, format!("duplicate key {text:?}")).hint(first));
            return;
        }
        map.insert(text, Entry { key: key.at, value });
    }

    /// Takes over the entries of a merge key's value which aren't there yet.
    fn merge(&mut self, map: &mut Map, value: Node) {
        match value.kind {
            Kind::Map(entries) => {
                for (key, entry) in entries {
                    map.entry(key).or_insert(entry);
                }
            }
            Kind::List(list) if list.iter().all(|node| matches!(node.kind, Kind::Map(_))) => {
                for node in list {
                    self.merge(map, node);
                }
            }
            _ => self.out.error(&value.at, "the merge key << takes a mapping or a list of mappings"),
        }
    }

    fn count(&mut self, nodes: usize, depth: usize, span: &Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(self.stop(span, "the document is too large: more than 50000 values, aliases included"));
        }
        if depth > MAX_DEPTH {
            return Err(self.stop(span, "the document is nested too deeply: more than 64 levels"));
        }
        Ok(())
    }

    /// What a tag means. Besides YAML's own there are the two of Compose.
    fn mark(&mut self, tag: Option<&Tag>, span: &Span) -> Mark {
        let Some(tag) = tag else { return Mark::None };
        match tag.original().as_str() {
            "!reset" => return Mark::Reset,
            "!override" => return Mark::Override,
            "!" => return Mark::None,
            _ if tag.is_yaml_core_schema() => return Mark::None,
            _ => {}
        }
        let place = self.place(&span.tag_span().unwrap_or(*span));
        let diagnostic = Diagnostic::error(&place, format!("the tag {} isn't supported", tag.original()));
        self.out.push(diagnostic.hint("there are !reset and !override, for what another file says"));
        Mark::None
    }

    fn place(&self, span: &Span) -> Place {
        // A value over several lines is marked to the end of its first one.
        let same_line = span.start.line() == span.end.line();
        let length = if same_line { span.end.col().saturating_sub(span.start.col()) } else { usize::MAX };
        place_at(self.source, span.start.line(), span.start.col(), length)
    }

    fn stop(&self, span: &Span, message: &str) -> Stop {
        Stop(Box::new(Diagnostic::error(&self.place(span), message)))
    }

    fn syntax(&self, error: &ScanError) -> Stop {
        let place = place_at(self.source, error.marker().line(), error.marker().col(), 1);
        let text = error.info();
        if is_in_secrets(self.source.text(), error.marker().line()) {
            place.hide_line();
        }
        let mut diagnostic = Diagnostic::error(&place, format!("invalid YAML: {text}"));
        if place.source_line().is_some_and(|line| line.trim_start_matches(' ').starts_with('\t')) {
            diagnostic = diagnostic.hint("indent with spaces, not with tabs");
        }
        Stop(Box::new(diagnostic))
    }
}

/// Whether a line (from 1) is below a top-level `secrets:`, as far as a text shows that can't be parsed.
fn is_in_secrets(text: &str, line: usize) -> bool {
    let above: Vec<&str> = text.lines().take(line).collect();
    let starts_at_margin = |line: &&&str| line.starts_with(|c: char| !c.is_whitespace() && !"#}])".contains(c));
    above
        .iter()
        .rev()
        .find(starts_at_margin)
        .is_some_and(|top| top.trim_start_matches(['"', '\'']).starts_with("secrets"))
}

fn place_at(source: &Arc<SourceText>, line: usize, column_from_0: usize, length: usize) -> Place {
    let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place::new(source, fit(line), fit(column_from_0).saturating_add(1), fit(length))
}
