//! App state: per account and collection, the sealed patches that its devices pushed.
//!
//! The server cannot read a patch. It numbers them, and hands a device all that are newer than the
//! version it names.

use std::collections::HashMap;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;

use crate::server::directory::{AccountIndex, DeviceAddress};
use crate::server::stanza::{attr, bytes, error, leaf, number, result};
use crate::server::{Server, lock};

/// Everything that was pushed; a collection's version is its number of patches.
#[derive(Default)]
pub(crate) struct AppState {
    collections: HashMap<(AccountIndex, String), Vec<Vec<u8>>>,
}

impl AppState {
    fn patches(&mut self, account: AccountIndex, collection: &str) -> &mut Vec<Vec<u8>> {
        let key = (account, collection.to_owned());
        self.collections.entry(key).or_default()
    }
}

impl Server {
    /// Adds a patch of the phone's own. Says whether it is one.
    pub(crate) fn push_app_state(
        &self,
        account: AccountIndex,
        collection: &str,
        patch: &[u8],
    ) -> bool {
        push(lock(&self.app_state).patches(account, collection), patch)
    }

    pub(super) fn answer_app_state(&self, from: DeviceAddress, iq: &Node) -> Node {
        let Some(sync) = iq.get_optional_child("sync") else {
            return error(iq, 400, "bad-request");
        };
        let mut state = lock(&self.app_state);
        let asked = sync.get_children_by_tag("collection");
        let collections: Vec<Node> = asked
            .map(|collection| {
                let name = attr(collection, "name").unwrap_or_default();
                exchange(collection, &name, state.patches(from.account, &name))
            })
            .collect();
        let sync = NodeBuilder::new("sync").children(collections).build();
        result(iq, vec![sync])
    }
}

fn exchange(asked: &Node, name: &str, patches: &mut Vec<Vec<u8>>) -> Node {
    let known: usize = number(asked, "version").unwrap_or(0);
    let pushed = asked
        .get_optional_child("patch")
        .or_else(|| asked.get_optional_child_by_tag(&["patches", "patch"]))
        .and_then(bytes);
    let answer = NodeBuilder::new("collection").attr("name", name);
    let newer = patches.get(known..).unwrap_or_default().to_vec();
    if let Some(patch) = pushed {
        if newer.is_empty() {
            if !push(patches, patch) {
                let refusal = NodeBuilder::new("error").attr("code", 400_u16).build();
                return with_patches(answer.attr("type", "error"), known, newer, Some(refusal));
            }
            return answer.attr("version", patches.len()).build();
        }
        // The device has to apply what it missed before it may push.
        let conflict = NodeBuilder::new("error").attr("code", 409_u16);
        let conflict = conflict.attr("text", "conflict").build();
        return with_patches(
            answer.attr("type", "error"),
            patches.len(),
            newer,
            Some(conflict),
        );
    }
    with_patches(answer, patches.len(), newer, None)
}

fn with_patches(
    answer: NodeBuilder,
    version: usize,
    newer: Vec<Vec<u8>>,
    error: Option<Node>,
) -> Node {
    let patches = newer.into_iter().map(|patch| leaf("patch", patch));
    let patches = NodeBuilder::new("patches").children(patches).build();
    answer
        .attr("version", version)
        .children(error.into_iter().chain([patches]))
        .build()
}

/// Numbers a patch and stores it, unless it is none.
fn push(patches: &mut Vec<Vec<u8>>, patch: &[u8]) -> bool {
    let Ok(mut patch) = waproto::codec::syncd_patch_decode(patch) else {
        return false;
    };
    let version = u64::try_from(patches.len() + 1).ok();
    patch.version = MessageField::some(wa::SyncdVersion { version });
    patches.push(waproto::codec::syncd_patch_to_vec(&patch));
    true
}
