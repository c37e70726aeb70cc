//! Reading and writing stanzas.

use std::borrow::Cow;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, NodeValue};

use crate::clock::unix_seconds;

/// The name of the server in `from` and `to`.
pub(crate) const SERVER: &str = "s.whatsapp.net";

/// An attribute as text.
pub(crate) fn attr<'a>(node: &'a Node, key: &str) -> Option<Cow<'a, str>> {
    node.attrs.get(key).map(NodeValue::as_str)
}

/// An attribute as a JID; `None` when absent or none.
pub(crate) fn jid(node: &Node, key: &str) -> Option<Jid> {
    node.attrs.get(key).and_then(NodeValue::to_jid)
}

/// An attribute as a number.
pub(crate) fn number<T: std::str::FromStr>(node: &Node, key: &str) -> Option<T> {
    attr(node, key).and_then(|text| text.parse().ok())
}

/// The binary content of a node.
pub(crate) fn bytes(node: &Node) -> Option<&[u8]> {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => Some(bytes),
        Some(NodeContent::String(text)) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The binary content of a child.
pub(crate) fn child_bytes<'a>(node: &'a Node, tag: &str) -> Option<&'a [u8]> {
    node.get_optional_child(tag).and_then(bytes)
}

/// The binary content of a child, of exactly `N` bytes.
pub(crate) fn child_array<const N: usize>(node: &Node, tag: &str) -> Option<[u8; N]> {
    child_bytes(node, tag).and_then(|bytes| bytes.try_into().ok())
}

/// The content of a child as a big-endian number of at most four bytes.
pub(crate) fn child_uint(node: &Node, tag: &str) -> Option<u32> {
    let bytes = child_bytes(node, tag)?;
    (bytes.len() <= 4).then(|| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
    })
}

/// A node with nothing but binary content.
pub(crate) fn leaf(tag: &'static str, content: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(content).build()
}

/// Answers an iq.
pub(crate) fn result(request: &Node, children: Vec<Node>) -> Node {
    let answer = NodeBuilder::new("iq")
        .attr("from", SERVER)
        .attr("type", "result")
        .attr("id", attr(request, "id").unwrap_or_default().as_ref());
    if children.is_empty() {
        answer.build()
    } else {
        answer.children(children).build()
    }
}

/// Refuses an iq.
pub(crate) fn error(request: &Node, code: u16, text: &str) -> Node {
    NodeBuilder::new("iq")
        .attr("from", SERVER)
        .attr("type", "error")
        .attr("id", attr(request, "id").unwrap_or_default().as_ref())
        .children([NodeBuilder::new("error")
            .attr("code", code)
            .attr("text", text)
            .build()])
        .build()
}

/// Acknowledges a stanza of a client: names swapped, identity kept.
pub(crate) fn ack(stanza: &Node) -> NodeBuilder {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", stanza.tag.as_ref())
        .attr("id", attr(stanza, "id").unwrap_or_default().as_ref())
        .attr("t", unix_seconds());
    if let Some(to) = stanza.attrs.get("to") {
        ack = ack.attr("from", to.clone());
    }
    for key in ["participant", "recipient"] {
        if let Some(value) = stanza.attrs.get(key) {
            ack = ack.attr(key, value.clone());
        }
    }
    ack
}
