//! Asking WhatsApp whose a number is.

use std::time::Duration;

use tracing::debug;
use wacore_binary::Jid as WireJid;
use whatsapp_rust::{Client, IsOnWhatsAppResult};

use crate::ids::Jid;
use crate::inbound::message::Party;
use crate::store::Looked;

/// How long WhatsApp may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// WhatsApp's word about `asked`; numbers that it said nothing about are left out.
pub(super) async fn ask(client: &Client, asked: &[Jid]) -> Vec<Looked> {
    let Some(answers) = query(client, asked).await else {
        return Vec::new();
    };
    let mut looked = Vec::with_capacity(asked.len());
    for asked in asked {
        let answer = answers.iter().find(|answer| is_about(answer, asked));
        match answer {
            Some(answer) => looked.push(read(asked, answer)),
            // Some countries' numbers have another spelling, under which WhatsApp answers. Asked alone,
            // it is plain what the answer is about.
            None => {
                // Who does not answer this is not asked about the others either.
                let Some(alone) = query(client, std::slice::from_ref(asked)).await else {
                    break;
                };
                if let [answer] = &alone[..] {
                    looked.push(read(asked, answer));
                }
            }
        }
    }
    looked
}

/// None: there was no answer in time.
async fn query(client: &Client, numbers: &[Jid]) -> Option<Vec<IsOnWhatsAppResult>> {
    let wire: Vec<WireJid> = numbers
        .iter()
        .filter_map(|jid| jid.as_str().parse().ok())
        .collect();
    let contacts = client.contacts();
    match tokio::time::timeout(PATIENCE, contacts.is_on_whatsapp(&wire)).await {
        Ok(Ok(answers)) => Some(answers),
        Ok(Err(error)) => {
            debug!(%error, "WhatsApp does not say whose a number is");
            None
        }
        Err(_) => None,
    }
}

fn is_about(answer: &IsOnWhatsAppResult, asked: &Jid) -> bool {
    let same = |jid: &WireJid| jid.to_non_ad().to_string() == asked.as_str();
    same(&answer.jid) || answer.pn_jid.as_ref().is_some_and(same)
}

fn read(asked: &Jid, answer: &IsOnWhatsAppResult) -> Looked {
    let plain = |jid: &WireJid| Jid::new(jid.to_non_ad().to_string());
    let forms = [
        Some(&answer.jid),
        answer.pn_jid.as_ref(),
        answer.lid.as_ref(),
    ];
    let of = |is: fn(&WireJid) -> bool| {
        let mut forms = forms.iter().flatten().copied();
        forms.find(|jid| is(jid)).map(plain)
    };
    let found = answer.is_registered.then(|| Party {
        pn: of(|jid| !jid.server.is_lid_family()).or_else(|| Some(asked.clone())),
        lid: of(|jid| jid.server.is_lid_family()),
    });
    Looked {
        asked: asked.clone(),
        found,
    }
}
