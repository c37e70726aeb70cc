//! Contact cards.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message;

use crate::ids::Phone;
use crate::outbound::message::Card;

pub(super) fn message(cards: &[Card], context: Option<wa::ContextInfo>) -> wa::Message {
    let contact = |card: &Card| message::ContactMessage {
        display_name: Some(card.name.clone()),
        vcard: Some(vcard(card)),
        ..Default::default()
    };
    if let [card] = cards {
        return wa::Message {
            contact_message: MessageField::some(message::ContactMessage {
                context_info: context.into(),
                ..contact(card)
            }),
            ..Default::default()
        };
    }
    wa::Message {
        contacts_array_message: MessageField::some(message::ContactsArrayMessage {
            display_name: Some(format!("{} contacts", cards.len())),
            contacts: cards.iter().map(contact).collect(),
            context_info: context.into(),
        }),
        ..Default::default()
    }
}

/// `waid` is what makes phones offer a chat with the number.
fn vcard(card: &Card) -> String {
    if let Some(vcard) = &card.vcard {
        return vcard.clone();
    }
    let name = escaped(&card.name);
    let mut vcard = format!("BEGIN:VCARD\nVERSION:3.0\nN:;{name};;;\nFN:{name}\n");
    if let Some(phone) = card.phone.as_deref().and_then(Phone::parse) {
        let digits = phone.digits();
        vcard.push_str(&format!("TEL;type=CELL;waid={digits}:+{digits}\n"));
    }
    vcard + "END:VCARD"
}

/// RFC 6350, 3.4: else a name could add lines of its own.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ',' | ';' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
