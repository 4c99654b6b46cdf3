//! Another description of the cluster while it is supervised: the smallest change follows from it by itself, since every
//! call is decided anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::driver::Driver;
use super::node::Node;
use crate::cluster::Cluster;
use crate::event::EventKind;
use crate::names::ComponentName;

impl Driver {
    /// Takes another description. The name can't change: everything is found by it.
    pub(super) fn describe(&mut self, cluster: &Arc<Cluster>) {
        if cluster.name != self.cluster.name {
            let message = format!(
                "the cluster's name is {} now; this is the supervision of {}, which goes on as it was",
                cluster.name, self.cluster.name
            );
            return self.emit(EventKind::DescriptionRefused { message });
        }
        if *self.cluster == **cluster {
            return;
        }
        let old = std::mem::replace(&mut self.cluster, cluster.clone());
        let removed: Vec<ComponentName> =
            old.components.keys().filter(|name| !cluster.components.contains_key(*name)).cloned().collect();
        for name in &removed {
            self.nodes.remove(name);
        }
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (name, component) in &cluster.components {
            let Some(node) = self.nodes.get_mut(name) else {
                let mut node = Node::new(component.clone());
                // What there is of it already, only a list says.
                node.awaits_list = true;
                self.nodes.insert(name.clone(), node);
                added.push(name.clone());
                continue;
            };
            if node.component != *component {
                let is_same_image = node.component.image == component.image;
                node.component = component.clone();
                if !is_same_image {
                    node.image_health = None;
                }
                node.touch();
                changed.push(name.clone());
            }
        }
        self.forget_objects();
        for name in changed.iter().chain(&added) {
            self.renew(name);
        }
        self.observe_again = true;
        self.find_images();
        self.emit(EventKind::DescriptionTaken { changed, added, removed });
    }

    /// Networks, volumes and images that nobody needs any more; addresses are handed out anew.
    fn forget_objects(&mut self) {
        self.networks.retain(|key, _| self.cluster.networks.contains_key(key));
        self.volumes.retain(|key, _| self.cluster.volumes.contains_key(key));
        let images = self.nodes.values().flat_map(|node| self.cluster.images_behind(&node.component));
        let images: BTreeSet<&str> = images.collect();
        self.images.retain(|reference, _| images.contains(reference.as_str()));
        self.addressing = None;
    }
}
