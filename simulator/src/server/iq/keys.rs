//! Pre-keys: uploaded by their owner, handed out to those who want to write.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::people::{KeyBundle, OneTimeKey, SignedKey};
use crate::server::Server;
use crate::server::directory::{DeviceAddress, Keys, PublishedKeys};
use crate::server::stanza::{child_array, child_uint, error, jid, leaf, result};

/// The `type` of Curve25519 keys.
const CURVE25519: [u8; 1] = [5];

impl Server {
    pub(super) fn answer_key_count(&self, from: DeviceAddress, iq: &Node) -> Node {
        let stock = self.with_keys(from, |keys| keys.one_time.len());
        let count = NodeBuilder::new("count").attr("value", stock.unwrap_or(0));
        result(iq, vec![count.build()])
    }

    /// SHA-1 over identity, signed key, its signature and the one-time keys, in their order.
    pub(super) fn answer_key_digest(&self, from: DeviceAddress, iq: &Node) -> Node {
        let digest = self.with_keys(from, |keys| {
            let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            hash.update(&keys.identity);
            hash.update(&keys.signed.public);
            hash.update(&keys.signed.signature);
            for key in &keys.one_time {
                hash.update(&key.public);
            }
            let ids = keys.one_time.iter().map(|key| leaf("id", id24(key.id)));
            let ids = NodeBuilder::new("list").children(ids).build();
            NodeBuilder::new("digest")
                .children([
                    leaf("registration", keys.registration_id.to_be_bytes()),
                    leaf("type", CURVE25519),
                    leaf("identity", keys.identity),
                    signed_key(&keys.signed),
                    ids,
                    leaf("hash", hash.finish().as_ref()),
                ])
                .build()
        });
        match digest {
            Some(digest) => result(iq, vec![digest]),
            None => error(iq, 404, "item-not-found"),
        }
    }

    /// Replaces the identity and signed key and adds the one-time keys.
    pub(super) fn accept_keys(&self, from: DeviceAddress, iq: &Node) -> Node {
        let uploaded = (
            child_uint(iq, "registration"),
            child_array::<32>(iq, "identity"),
            iq.get_optional_child("skey").and_then(read_signed_key),
        );
        let (Some(registration_id), Some(identity), Some(signed)) = uploaded else {
            return error(iq, 400, "bad-request");
        };
        let list = iq.get_optional_child("list");
        let keys = list
            .into_iter()
            .flat_map(|list| list.get_children_by_tag("key"));
        let one_time: Vec<OneTimeKey> = keys.filter_map(read_one_time_key).collect();
        let stored = self.with_keys(from, |keys| {
            keys.registration_id = registration_id;
            keys.identity = identity;
            keys.signed = signed;
            for key in one_time {
                if keys.one_time.iter().all(|stored| stored.id != key.id) {
                    keys.one_time.push_back(key);
                }
            }
        });
        match stored {
            Some(()) => result(iq, Vec::new()),
            None => error(iq, 403, "forbidden"),
        }
    }

    pub(super) fn accept_rotated_key(&self, from: DeviceAddress, iq: &Node) -> Node {
        let rotated = iq.get_optional_child_by_tag(&["rotate", "skey"]);
        let Some(signed) = rotated.and_then(read_signed_key) else {
            return error(iq, 400, "bad-request");
        };
        match self.with_keys(from, |keys| keys.signed = signed) {
            Some(()) => result(iq, Vec::new()),
            None => error(iq, 403, "forbidden"),
        }
    }

    /// One bundle for each device asked for; each uses up a one-time key.
    pub(super) fn answer_key_fetch(&self, iq: &Node) -> Node {
        let asked = iq.get_optional_child("key");
        let users = asked
            .into_iter()
            .flat_map(|key| key.get_children_by_tag("user"));
        let bundles = users.filter_map(|user| jid(user, "jid")).map(|jid| {
            let user = NodeBuilder::new("user").attr("jid", &jid);
            match self.take_bundle(&jid) {
                Some((bundle, identity)) => user.children(bundle_nodes(&bundle, identity)).build(),
                None => {
                    let missing = NodeBuilder::new("error").attr("code", 404_u16);
                    user.children([missing.attr("text", "item-not-found").build()])
                        .build()
                }
            }
        });
        let list = NodeBuilder::new("list").children(bundles.collect::<Vec<_>>());
        result(iq, vec![list.build()])
    }

    /// A bundle of the device that `jid` names, and for a companion its proof of belonging.
    pub(crate) fn take_bundle(&self, jid: &Jid) -> Option<(KeyBundle, Option<Vec<u8>>)> {
        let mut directory = self.directory();
        let address = directory.find_device(jid)?;
        let device = directory.device_mut(address)?;
        let bundle = device.take_bundle();
        Server::check_stock(device);
        let registration = device.registration.as_ref();
        let identity = registration.map(|registration| registration.device_identity.clone());
        Some((bundle, identity))
    }

    fn with_keys<T>(
        &self,
        from: DeviceAddress,
        act: impl FnOnce(&mut PublishedKeys) -> T,
    ) -> Option<T> {
        match &mut self.directory().device_mut(from)?.keys {
            Keys::Published(keys) => Some(act(keys)),
            Keys::Phone(_) => None,
        }
    }
}

fn bundle_nodes(bundle: &KeyBundle, device_identity: Option<Vec<u8>>) -> Vec<Node> {
    let mut nodes = vec![
        leaf("registration", bundle.registration_id.to_be_bytes()),
        leaf("type", CURVE25519),
        leaf("identity", bundle.identity),
    ];
    nodes.extend(bundle.one_time.as_ref().map(|key| {
        NodeBuilder::new("key")
            .children([leaf("id", id24(key.id)), leaf("value", key.public)])
            .build()
    }));
    nodes.push(signed_key(&bundle.signed));
    nodes.extend(device_identity.map(|identity| leaf("device-identity", identity)));
    nodes
}

fn signed_key(key: &SignedKey) -> Node {
    NodeBuilder::new("skey")
        .children([
            leaf("id", id24(key.id)),
            leaf("value", key.public),
            leaf("signature", key.signature),
        ])
        .build()
}

/// Reads `<skey>`, here and in retry receipts.
pub(crate) fn read_signed_key(node: &Node) -> Option<SignedKey> {
    Some(SignedKey {
        id: child_uint(node, "id")?,
        public: child_array(node, "value")?,
        signature: child_array(node, "signature")?,
    })
}

/// Reads `<key>`, here and in retry receipts.
pub(crate) fn read_one_time_key(node: &Node) -> Option<OneTimeKey> {
    Some(OneTimeKey {
        id: child_uint(node, "id")?,
        public: child_array(node, "value")?,
    })
}

fn id24(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}
