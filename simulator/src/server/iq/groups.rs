//! Groups (`w:g2`): metadata, and the membership changes that clients make themselves.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server as Namespace};

use crate::clock::unix_seconds;
use crate::server::directory::{AccountIndex, DeviceAddress, Directory, Group};
use crate::server::mailbox::{Chat, Class, Entry};
use crate::server::stanza::{attr, error, jid, result};
use crate::server::{Reply, Server};

impl Server {
    pub(super) fn answer_group(&self, from: DeviceAddress, iq: &Node) -> Reply {
        let child = iq.children().and_then(<[Node]>::first);
        match child.map_or("", |child| child.tag.as_ref()) {
            "query" => self.answer_group_query(from, iq).into(),
            "participating" => self.answer_participating(from, iq).into(),
            "create" => self.accept_group(from, iq).into(),
            other => {
                self.count_unknown(format!("iq w:g2 {other}"));
                result(iq, Vec::new()).into()
            }
        }
    }

    fn answer_group_query(&self, from: DeviceAddress, iq: &Node) -> Node {
        let directory = self.directory();
        let group = jid(iq, "to").and_then(|group| directory.group(&group.user));
        match group {
            Some(group) if group.members.contains(&from.account) => {
                result(iq, vec![group_node(&directory, group)])
            }
            Some(_) => error(iq, 403, "forbidden"),
            None => error(iq, 404, "item-not-found"),
        }
    }

    fn answer_participating(&self, from: DeviceAddress, iq: &Node) -> Node {
        let directory = self.directory();
        let groups = directory.groups_of(from.account);
        let groups = groups
            .into_iter()
            .map(|group| group_node(&directory, group));
        result(
            iq,
            vec![NodeBuilder::new("groups").children(groups).build()],
        )
    }

    fn accept_group(&self, from: DeviceAddress, iq: &Node) -> Node {
        let Some(create) = iq.get_optional_child("create") else {
            return error(iq, 400, "bad-request");
        };
        let subject = attr(create, "subject").unwrap_or_default().into_owned();
        let mut directory = self.directory();
        let named = create.get_children_by_tag("participant");
        let members: Vec<AccountIndex> = named
            .filter_map(|member| directory.find(&jid(member, "jid")?))
            .collect();
        let group = new_group(&subject, from.account, members, Namespace::Lid);
        let node = group_node(&directory, &group);
        directory.put_group(group);
        result(iq, vec![node])
    }

    /// Makes a group and tells the linked devices of its members.
    pub(crate) fn create_group(
        &self,
        subject: &str,
        creator: AccountIndex,
        members: Vec<AccountIndex>,
        addressing: Namespace,
    ) -> Jid {
        let group = new_group(subject, creator, members, addressing);
        let jid = group.jid.clone();
        let mut directory = self.directory();
        let node = group_node(&directory, &group);
        let create = NodeBuilder::new("create")
            .attr("type", "new")
            .children([node])
            .build();
        let author = directory.account(creator).jid(addressing).clone();
        for member in group.members.iter().filter(|member| **member != creator) {
            for address in directory.devices_of(*member).collect::<Vec<_>>() {
                let Some(device) = directory
                    .device(address)
                    .filter(|device| device.registration.is_some())
                else {
                    continue;
                };
                let id = u32::from_le_bytes(crate::people::random_bytes()).to_string();
                let stanza = NodeBuilder::new("notification")
                    .attr("from", &jid)
                    .attr("participant", &author)
                    .attr("type", "w:gp2")
                    .attr("id", id.as_str())
                    .attr("t", unix_seconds())
                    .children([create.clone()])
                    .build();
                device.mailbox.post(Entry {
                    class: Class::Notification,
                    id,
                    chat: Chat::Group(jid.user.to_string()),
                    stanza: Arc::new(stanza),
                });
            }
        }
        directory.put_group(group);
        jid
    }
}

fn new_group(
    subject: &str,
    creator: AccountIndex,
    members: Vec<AccountIndex>,
    addressing: Namespace,
) -> Group {
    let number = u64::from_le_bytes(crate::people::random_bytes()) % 10_000_000_000_000;
    let others = members.into_iter().filter(|member| *member != creator);
    Group {
        jid: Jid::group(format!("12036{number:013}")),
        subject: subject.to_owned(),
        created: unix_seconds(),
        addressing,
        members: std::iter::once(creator).chain(others).collect(),
    }
}

fn group_node(directory: &Directory, group: &Group) -> Node {
    let (creator, pn_mode) = (group.members.first(), group.addressing.is_pn_family());
    let members = group.members.iter().map(|member| {
        let account = directory.account(*member);
        let node = NodeBuilder::new("participant").attr("jid", account.jid(group.addressing));
        let node = if pn_mode {
            node.attr("lid", &account.lid)
        } else {
            node.attr("phone_number", &account.pn)
        };
        if Some(member) == creator {
            node.attr("type", "admin").build()
        } else {
            node.build()
        }
    });
    let mut node = NodeBuilder::new("group")
        .attr("id", group.jid.user.as_str())
        .attr("subject", group.subject.as_str())
        .attr("addressing_mode", if pn_mode { "pn" } else { "lid" })
        .attr("creation", group.created)
        .attr("s_t", group.created)
        .attr("size", group.members.len());
    if let Some(creator) = creator {
        let account = directory.account(*creator);
        node = node
            .attr("creator", account.jid(group.addressing))
            .attr("s_o", account.jid(group.addressing));
    }
    node.children(members).build()
}
