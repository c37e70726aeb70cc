//! Device queries (usync): which devices and names a person has.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::clock::unix_seconds;
use crate::server::Server;
use crate::server::directory::{AccountIndex, DeviceAddress, Directory, lock_phone};
use crate::server::stanza::{error, jid, result};

impl Server {
    pub(super) fn answer_usync(&self, from: DeviceAddress, iq: &Node) -> Node {
        let Some(usync) = iq.get_optional_child("usync") else {
            return error(iq, 400, "bad-request");
        };
        let query = usync.get_optional_child("query");
        let asked: Vec<&str> = query
            .and_then(Node::children)
            .unwrap_or_default()
            .iter()
            .map(|protocol| protocol.tag.as_ref())
            .collect();
        let list = usync.get_optional_child("list");
        let directory = self.directory();
        let users: Vec<Node> = list
            .into_iter()
            .flat_map(|list| list.get_children_by_tag("user"))
            .map(|user| self.describe(&directory, from, user, &asked))
            .collect();
        drop(directory);
        let mut answer = NodeBuilder::new("usync");
        for key in ["sid", "index", "last", "mode", "context"] {
            if let Some(value) = usync.attrs.get(key) {
                answer = answer.attr(key, value.clone());
            }
        }
        let list = NodeBuilder::new("list").children(users).build();
        result(iq, vec![answer.children([list]).build()])
    }

    fn describe(
        &self,
        directory: &Directory,
        from: DeviceAddress,
        user: &Node,
        asked: &[&str],
    ) -> Node {
        let named = jid(user, "jid").or_else(|| {
            let number = user.get_optional_child("contact")?.content_as_string()?;
            Some(Jid::pn(number.trim_start_matches('+')))
        });
        let Some(named) = named else {
            return NodeBuilder::new("user").build();
        };
        let answer = NodeBuilder::new("user").attr("jid", named.to_non_ad());
        let Some(account) = directory.find(&named) else {
            let contact = asked.contains(&"contact").then(|| contact("out"));
            return answer.children(contact).build();
        };
        let children = asked.iter().filter_map(|protocol| match *protocol {
            "devices" => {
                self.lint.tell(from, directory.devices_of(account));
                Some(devices(directory, account))
            }
            // Asked by its LID, the person's LID is no news; some clients take it for a mistake.
            "lid" if named.is_lid() => None,
            "lid" => {
                let lid = &directory.account(account).lid;
                Some(NodeBuilder::new("lid").attr("val", lid).build())
            }
            "contact" => Some(contact("in")),
            "status" => Some(NodeBuilder::new("status").attr("t", unix_seconds()).build()),
            _ => None,
        });
        let children: Vec<Node> = children.collect();
        let pn = &directory.account(account).pn;
        answer.attr("pn_jid", pn).children(children).build()
    }
}

fn contact(kind: &'static str) -> Node {
    NodeBuilder::new("contact").attr("type", kind).build()
}

fn devices(directory: &Directory, account: AccountIndex) -> Node {
    let account = directory.account(account);
    let list = account.devices.iter().map(|(number, device)| {
        let node = NodeBuilder::new("device").attr("id", *number);
        match &device.registration {
            Some(registration) => node.attr("key-index", registration.key_index).build(),
            None => node.build(),
        }
    });
    let list = NodeBuilder::new("device-list").children(list).build();
    let signed = lock_phone(&account.phone).key_index_list();
    let key_indexes = NodeBuilder::new("key-index-list")
        .attr("ts", signed.timestamp_s)
        .bytes(signed.signed)
        .build();
    NodeBuilder::new("devices")
        .children([list, key_indexes])
        .build()
}
