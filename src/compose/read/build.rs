//! `build` of a service.

use indexmap::IndexMap;

use super::super::build_options::{BuildOptions, KitOptions};
use super::super::node::{Kind, Node};
use super::super::place::Spanned;
use super::super::raw::Build;
use super::fields::{Fields, Reader};

impl Reader {
    pub(super) fn build(&mut self, node: &Node, path: &str) -> Option<Build> {
        let mut build = Build {
            at: node.at.clone(),
            context: Spanned::new(".".to_owned(), node.at.clone()),
            dockerfile: None,
            dockerfile_inline: None,
            args: IndexMap::new(),
            target: None,
            secrets: Vec::new(),
            options: BuildOptions::default(),
            places: node.as_map().into_iter().flatten().map(|(key, entry)| (key.clone(), entry.key.clone())).collect(),
        };
        if let Kind::Scalar(_) = &node.kind {
            build.context = self.spanned(node, path)?;
            return Some(build);
        }
        let mut fields = Fields::of(self, node, path)?;
        if let Some(context) = fields.read(self, "context", Self::spanned) {
            build.context = context;
        }
        build.dockerfile = fields.read(self, "dockerfile", Self::spanned);
        build.dockerfile_inline = fields.read(self, "dockerfile_inline", Self::spanned);
        build.target = fields.read(self, "target", Self::filled);
        for (key, value) in fields.read_or_default(self, "args", Self::pairs) {
            let value = value.value.or_else(|| self.variables.get(&key).cloned());
            build.args.insert(key, value);
        }
        build.secrets = fields.read_or_default(self, "secrets", Self::file_refs);
        build.options = self.build_options(&mut fields);
        fields.finish(self, &["isolation"]);
        if let (Some(_), Some(inline)) = (&build.dockerfile, &build.dockerfile_inline) {
            self.out.error(&inline.at, format!("{path} has both dockerfile and dockerfile_inline"));
        }
        Some(build)
    }

    fn build_options(&mut self, fields: &mut Fields<'_>) -> BuildOptions {
        BuildOptions {
            cache_from: fields.read_or_default(self, "cache_from", Self::strings),
            labels: fields.read_or_default(self, "labels", Self::sorted_labels),
            network: fields.read(self, "network", Self::optional),
            no_cache: fields.read(self, "no_cache", Self::boolean).unwrap_or_default(),
            pull: fields.read(self, "pull", Self::boolean).unwrap_or_default(),
            shm_size: fields.read(self, "shm_size", Self::size).map(|size| size.0),
            platforms: fields.read_or_default(self, "platforms", Self::strings),
            tags: fields.read_or_default(self, "tags", Self::strings),
            kit: Box::new(self.kit_options(fields)),
        }
    }

    fn kit_options(&mut self, fields: &mut Fields<'_>) -> KitOptions {
        let said = |reader: &mut Self, node: &Node, path: &str| reader.scalar(node, path).map(str::to_owned);
        let limits = fields.read_or_default(self, "ulimits", Self::ulimits);
        KitOptions {
            additional_contexts: fields.read_or_default(self, "additional_contexts", Self::sorted_labels),
            cache_to: fields.read_or_default(self, "cache_to", Self::strings),
            entitlements: fields.read_or_default(self, "entitlements", Self::strings),
            extra_hosts: fields.read_or_default(self, "extra_hosts", Self::extra_hosts),
            no_cache_filter: fields.read_or_default(self, "no_cache_filter", Self::strings),
            privileged: fields.read(self, "privileged", Self::boolean).unwrap_or_default(),
            provenance: fields.read(self, "provenance", said),
            sbom: fields.read(self, "sbom", said),
            ssh: fields.read_or_default(self, "ssh", Self::ssh),
            ulimits: limits.into_iter().map(|(name, limit)| (name, (limit.soft, limit.hard))).collect(),
        }
    }

    /// `id` or `id=path`, as a list or a mapping.
    fn ssh(&mut self, node: &Node, path: &str) -> Vec<String> {
        let Kind::Map(map) = &node.kind else { return self.strings(node, path) };
        let line = |(id, value): (&String, Option<&str>)| match value {
            Some(value) if !value.is_empty() => format!("{id}={value}"),
            _ => id.clone(),
        };
        map.iter().map(|(id, entry)| line((id, entry.value.as_text()))).collect()
    }
}
