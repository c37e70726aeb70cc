//! Requests and their answers.
//!
//! A request that nothing here knows gets an empty result and is counted: a scenario that counts
//! any has met a demand of a client that the simulator should learn.

mod app_state;
mod devices;
mod groups;
pub(crate) mod keys;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::directory::DeviceAddress;
use super::lines::StreamError;
use super::mailbox::ConnectionId;
use super::stanza::{attr, error, jid, result};
use super::{Reply, Server};

pub(super) use app_state::AppState;

/// Seconds for which a client may use a media host before it asks again.
const MEDIA_TTL_S: u32 = 3600;

impl Server {
    pub(super) fn answer_iq(&self, from: DeviceAddress, by: ConnectionId, iq: &Node) -> Reply {
        let kind = attr(iq, "type").unwrap_or_default();
        if kind == "result" || kind == "error" {
            return Reply::default();
        }
        let namespace = attr(iq, "xmlns").unwrap_or_default();
        let child = iq.children().and_then(<[Node]>::first);
        let tag = child.map_or("", |child| child.tag.as_ref());
        match (namespace.as_ref(), kind.as_ref(), tag) {
            ("w:p", ..) | ("urn:xmpp:ping", ..) => result(iq, Vec::new()).into(),
            ("passive", _, "active") => {
                let mut reply = Reply::from(result(iq, Vec::new()));
                reply.stanzas.extend(self.activate(from, by));
                reply
            }
            ("passive", ..) => result(iq, Vec::new()).into(),
            ("usync", _, "usync") => self.answer_usync(from, iq).into(),
            ("encrypt", "get", "count") => self.answer_key_count(from, iq).into(),
            ("encrypt", "get", "digest") => self.answer_key_digest(from, iq).into(),
            ("encrypt", "get", "key") => self.answer_key_fetch(iq).into(),
            ("encrypt", "set", "rotate") => self.accept_rotated_key(from, iq).into(),
            ("encrypt", "set", _) => self.accept_keys(from, iq).into(),
            ("w:g2", ..) => self.answer_group(from, iq),
            ("w:sync:app:state", ..) => self.answer_app_state(from, iq).into(),
            ("w:m", _, "media_conn") => self.answer_media(iq).into(),
            ("md", _, "remove-companion-device") => self.unlink(from, iq),
            ("abt", ..) => result(iq, vec![props()]).into(),
            ("blocklist", "get", _) => result(iq, vec![NodeBuilder::new("list").build()]).into(),
            ("blocklist", ..) => result(iq, Vec::new()).into(),
            ("privacy", "get", "privacy") => result(iq, vec![privacy()]).into(),
            ("privacy", ..) | ("disappearing_mode", ..) | ("status", ..) | ("w:stats", ..) => {
                result(iq, Vec::new()).into()
            }
            ("w:profile:picture", ..) => error(iq, 404, "item-not-found").into(),
            ("urn:xmpp:whatsapp:dirty", ..) | ("w:biz", ..) | ("w", ..) => {
                result(iq, Vec::new()).into()
            }
            (namespace, kind, tag) => {
                self.count_unknown(format!("iq {kind} {namespace} {tag}"));
                result(iq, Vec::new()).into()
            }
        }
    }

    fn answer_media(&self, iq: &Node) -> Node {
        let host = NodeBuilder::new("host")
            .attr("hostname", self.media_host.as_str())
            .attr("type", "primary")
            .build();
        let connection = NodeBuilder::new("media_conn")
            .attr("auth", "simulator")
            .attr("ttl", MEDIA_TTL_S)
            .attr("auth_ttl", MEDIA_TTL_S)
            .attr("max_buckets", 12_u8)
            .children([host])
            .build();
        result(iq, vec![connection])
    }

    fn unlink(&self, from: DeviceAddress, iq: &Node) -> Reply {
        let named = iq.get_optional_child("remove-companion-device");
        let target = named
            .and_then(|node| jid(node, "jid"))
            .and_then(|jid| self.directory().find_device(&jid))
            .filter(|target| target.account == from.account)
            .unwrap_or(from);
        if !self.remove_companion(target, (target != from).then_some(StreamError::Removed)) {
            return error(iq, 404, "item-not-found").into();
        }
        let mut reply = Reply::from(result(iq, Vec::new()));
        if target == from {
            reply.stanzas.push(StreamError::Removed.stanza());
            reply.hang_up = true;
        }
        reply
    }
}

fn props() -> Node {
    NodeBuilder::new("props")
        .attr("protocol", "1")
        .attr("hash", "simulator")
        .attr("refresh", 86_400_u32)
        .attr("refresh_id", 1_u8)
        .build()
}

fn privacy() -> Node {
    let category = |name: &'static str, value: &'static str| {
        NodeBuilder::new("category")
            .attr("name", name)
            .attr("value", value)
            .build()
    };
    NodeBuilder::new("privacy")
        .children([
            category("last", "all"),
            category("online", "all"),
            category("profile", "all"),
            category("status", "contacts"),
            category("readreceipts", "all"),
            category("groupadd", "all"),
            category("calladd", "all"),
        ])
        .build()
}
