//! Images of services that other services' images are built from: `additional_contexts: { base: service:NAME }`.

use std::collections::BTreeMap;

use super::build::Context;
use super::text::unknown;
use super::{image_build, service};
use crate::cluster::{Base, Graph};
use crate::compose::{self, Diagnostic, Diagnostics, Service};
use crate::names::ServiceName;

const SCHEME: &str = "service:";

/// All of them, by their names. One whose profiles are switched off is built all the same: it needn't run for that.
pub(super) fn resolve(context: &Context<'_>, problems: &mut Diagnostics) -> BTreeMap<String, Base> {
    let mut bases = BTreeMap::new();
    let (mut edges, mut builds) = (Vec::new(), BTreeMap::new());
    let mut open: Vec<(&ServiceName, &Service)> = context.project.services.iter().collect();
    while let Some((name, service)) = open.pop() {
        let Some(written) = &service.build else { continue };
        report_unknown(context, name, written, problems);
        let own = service::image(context, name, service);
        for (base, image) in named(context, written) {
            edges.push((own.clone(), image.clone()));
            builds.insert(own.clone(), written);
            let Some(service) = context.find(base.as_str()).map(|(_, service)| service) else { continue };
            if bases.contains_key(&image) {
                continue;
            }
            // What runs reports its problems itself.
            let (mut secrets, mut unheard) = (Vec::new(), Diagnostics::new());
            let heard = if context.project.services.contains_key(base) { &mut unheard } else { &mut *problems };
            let build = image_build::resolve(context, service, &mut secrets, heard);
            bases.insert(image, Base { service: base.clone(), build, secrets });
            open.push((base, service));
        }
    }
    report_circles(edges, &builds, problems);
    bases
}

/// The services whose images a build refers to, with these images; those that aren't there are left out.
pub(super) fn named<'a>(
    context: &'a Context<'_>,
    build: &'a compose::Build,
) -> impl Iterator<Item = (&'a ServiceName, String)> {
    let contexts = build.options.kit.additional_contexts.values();
    contexts.filter_map(|of| Some((context.find(of.strip_prefix(SCHEME)?)?.0, image_of(context, of)?)))
}

/// The image that such a context means, if it is one and its service is there.
pub(super) fn image_of(context: &Context<'_>, of: &str) -> Option<String> {
    let (name, service) = context.find(of.strip_prefix(SCHEME)?)?;
    Some(service::image(context, name, service))
}

fn report_unknown(context: &Context<'_>, name: &ServiceName, build: &compose::Build, problems: &mut Diagnostics) {
    for (key, of) in &build.options.kit.additional_contexts {
        let Some(base) = of.strip_prefix(SCHEME).filter(|base| context.find(base).is_none()) else { continue };
        let message = format!("the context \"{key}\" of \"{name}\" is \"{base}\", which is no service here");
        let hint = unknown(base, context.project.all_services().map(ServiceName::as_str), "services");
        problems.push(Diagnostic::error(image_build::place(build, "additional_contexts"), message).hint(hint));
    }
}

/// Circles of images, not of services: of these two may give theirs one name, and then neither is ever there first.
fn report_circles(
    edges: Vec<(String, String)>,
    builds: &BTreeMap<String, &compose::Build>,
    problems: &mut Diagnostics,
) {
    for circle in Graph::new([], edges).cycles() {
        let Some(build) = circle.path.first().and_then(|image| builds.get(image)) else { continue };
        let message = format!("images are built from one another: {circle}");
        let hint = "neither could ever be built: remove one of these contexts";
        problems.push(Diagnostic::error(image_build::place(build, "additional_contexts"), message).hint(hint));
    }
}
