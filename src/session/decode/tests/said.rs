use super::*;
use crate::inbound::message::{ContactCard, Media, Quote};
use wa::message::poll_creation_message::Option as PollOption;

fn assert_says(message: wa::Message, content: Content) {
    assert_eq!(
        inbound(&message, &direct(), &us()),
        decoded(&message, content)
    );
}

fn reference(mime: &str) -> Media {
    Media {
        mime_type: mime.to_owned(),
        size: 34_567,
        sha256: "0101".to_owned(),
        enc_sha256: "0202".to_owned(),
        media_key: "0303".to_owned(),
        direct_path: "/v/t62".to_owned(),
        url: Some("https://mmg.whatsapp.net/v/t62".to_owned()),
        ..Media::default()
    }
}

macro_rules! file {
    ($kind:ident, $mime:literal $(, $field:ident: $value:expr)*) => {
        MessageField::some(wa::message::$kind {
            mimetype: Some($mime.to_owned()),
            file_length: Some(34_567),
            file_sha256: Some(vec![1, 1]),
            file_enc_sha256: Some(vec![2, 2]),
            media_key: Some(vec![3, 3]),
            direct_path: Some("/v/t62".to_owned()),
            url: Some("https://mmg.whatsapp.net/v/t62".to_owned()),
            $($field: $value,)*
            ..Default::default()
        })
    };
}

#[test]
fn plain_text() {
    assert_says(text("hello"), says("hello"));
    assert_says(text(""), says(""));
}

#[test]
fn text_with_a_quote_of_ours_and_a_mention() {
    let message = wa::Message {
        extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
            text: Some("@100 yes".to_owned()),
            context_info: MessageField::some(wa::ContextInfo {
                stanza_id: Some("QUOTED".to_owned()),
                participant: Some("4915199999999:7@s.whatsapp.net".to_owned()),
                quoted_message: MessageField::some(text("really?")),
                mentioned_jid: vec!["100000000000001:4@lid".to_owned(), "nobody".to_owned()],
                is_forwarded: Some(true),
                expiration: Some(86_400),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut expected = decoded(&message, says("@100 yes"));
    expected.context = Context {
        quote: Some(Quote {
            message_id: "QUOTED".to_owned(),
            author: Some(Jid::new(OUR_PN)),
            text: Some("really?".to_owned()),
        }),
        mentions: vec![Jid::new(PEER_LID)],
        addressed_to_us: true,
        forwarded: true,
        view_once: false,
        ephemeral_seconds: Some(86_400),
    };
    assert_eq!(inbound(&message, &direct(), &us()), expected);
}

#[test]
fn a_mention_addresses_us_in_either_form_and_others_do_not() {
    let addressed = |mentioned: &str| {
        let message = wa::Message {
            extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
                context_info: MessageField::some(wa::ContextInfo {
                    mentioned_jid: vec![mentioned.to_owned()],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        inbound(&message, &group(), &us()).context.addressed_to_us
    };
    assert!(addressed(OUR_PN));
    assert!(addressed(OUR_LID));
    assert!(!addressed(PEER_LID));
    assert!(!addressed("199999999999999@s.whatsapp.net"));
}

#[test]
fn pictures_and_videos() {
    let image = file!(ImageMessage, "image/jpeg", caption: Some("look".to_owned()),
        width: Some(640), height: Some(480));
    let media = Media {
        caption: Some("look".to_owned()),
        width: Some(640),
        height: Some(480),
        ..reference("image/jpeg")
    };
    assert_says(
        wa::Message {
            image_message: image,
            ..Default::default()
        },
        Content::Image { media },
    );
    let clip = || file!(VideoMessage, "video/mp4", seconds: Some(9), gif_playback: Some(true));
    let media = Media {
        duration_seconds: Some(9),
        ..reference("video/mp4")
    };
    let gif = Content::Video {
        media: media.clone(),
        gif: true,
    };
    assert_says(
        wa::Message {
            video_message: clip(),
            ..Default::default()
        },
        gif,
    );
    let note = file!(VideoMessage, "video/mp4", seconds: Some(9));
    assert_says(
        wa::Message {
            ptv_message: note,
            ..Default::default()
        },
        Content::Video { media, gif: false },
    );
}

#[test]
fn sound_files_and_stickers() {
    let note = file!(AudioMessage, "audio/ogg; codecs=opus", seconds: Some(3), ptt: Some(true));
    let media = Media {
        duration_seconds: Some(3),
        ..reference("audio/ogg; codecs=opus")
    };
    assert_says(
        wa::Message {
            audio_message: note,
            ..Default::default()
        },
        Content::Audio {
            media,
            voice_note: true,
        },
    );
    let song = file!(AudioMessage, "audio/mp4");
    assert_says(
        wa::Message {
            audio_message: song,
            ..Default::default()
        },
        Content::Audio {
            media: reference("audio/mp4"),
            voice_note: false,
        },
    );
    let file = file!(DocumentMessage, "application/pdf", file_name: Some("a.pdf".to_owned()));
    let media = Media {
        file_name: Some("a.pdf".to_owned()),
        ..reference("application/pdf")
    };
    assert_says(
        wa::Message {
            document_message: file,
            ..Default::default()
        },
        Content::Document { media },
    );
    let sticker = file!(StickerMessage, "image/webp", is_animated: Some(true));
    assert_says(
        wa::Message {
            sticker_message: sticker,
            ..Default::default()
        },
        Content::Sticker {
            media: reference("image/webp"),
            animated: true,
        },
    );
}

#[test]
fn places_once_and_live() {
    let place = wa::message::LocationMessage {
        degrees_latitude: Some(52.5),
        degrees_longitude: Some(-13.25),
        name: Some("Café".to_owned()),
        address: Some("Street 1".to_owned()),
        ..Default::default()
    };
    assert_says(
        wa::Message {
            location_message: MessageField::some(place),
            ..Default::default()
        },
        Content::Location {
            latitude: 52.5,
            longitude: -13.25,
            name: Some("Café".to_owned()),
            address: Some("Street 1".to_owned()),
            live: false,
        },
    );
    let live = wa::message::LiveLocationMessage {
        degrees_latitude: Some(-90.0),
        degrees_longitude: Some(180.0),
        caption: Some("on my way".to_owned()),
        ..Default::default()
    };
    assert_says(
        wa::Message {
            live_location_message: MessageField::some(live),
            ..Default::default()
        },
        Content::Location {
            latitude: -90.0,
            longitude: 180.0,
            name: Some("on my way".to_owned()),
            address: None,
            live: true,
        },
    );
}

#[test]
fn a_place_off_the_map_is_malformed() {
    for (latitude, longitude) in [
        (None, Some(1.0)),
        (Some(1.0), None),
        (Some(f64::NAN), Some(1.0)),
        (Some(1.0), Some(f64::INFINITY)),
        (Some(90.5), Some(1.0)),
    ] {
        let place = wa::message::LocationMessage {
            degrees_latitude: latitude,
            degrees_longitude: longitude,
            ..Default::default()
        };
        let message = wa::Message {
            location_message: MessageField::some(place),
            ..Default::default()
        };
        assert_eq!(refusal_of(&message), "a location without usable degrees");
    }
}

#[test]
fn contact_cards() {
    let contact = |name: &str| wa::message::ContactMessage {
        display_name: Some(name.to_owned()),
        vcard: Some("BEGIN:VCARD".to_owned()),
        ..Default::default()
    };
    let card = |name: &str| ContactCard {
        name: name.to_owned(),
        vcard: "BEGIN:VCARD".to_owned(),
    };
    assert_says(
        wa::Message {
            contact_message: MessageField::some(contact("Bo")),
            ..Default::default()
        },
        Content::Contacts {
            cards: vec![card("Bo")],
        },
    );
    let several = wa::message::ContactsArrayMessage {
        contacts: vec![contact("Bo"), contact("Cy")],
        ..Default::default()
    };
    assert_says(
        wa::Message {
            contacts_array_message: MessageField::some(several),
            ..Default::default()
        },
        Content::Contacts {
            cards: vec![card("Bo"), card("Cy")],
        },
    );
}

#[test]
fn polls_of_every_version() {
    let poll = || {
        let option = |name: &str| PollOption {
            option_name: Some(name.to_owned()),
            ..Default::default()
        };
        MessageField::some(wa::message::PollCreationMessage {
            name: Some("Lunch?".to_owned()),
            options: vec![option("yes"), option("no")],
            selectable_options_count: Some(1),
            ..Default::default()
        })
    };
    let fourth = wa::message::FutureProofMessage {
        message: MessageField::some(wa::Message {
            poll_creation_message: poll(),
            ..Default::default()
        }),
    };
    let versions = [
        wa::Message {
            poll_creation_message: poll(),
            ..Default::default()
        },
        wa::Message {
            poll_creation_message_v2: poll(),
            ..Default::default()
        },
        wa::Message {
            poll_creation_message_v3: poll(),
            ..Default::default()
        },
        wa::Message {
            poll_creation_message_v4: MessageField::some(fourth),
            ..Default::default()
        },
        wa::Message {
            poll_creation_message_v5: poll(),
            ..Default::default()
        },
    ];
    for message in versions {
        let content = Content::Poll {
            question: "Lunch?".to_owned(),
            options: vec!["yes".to_owned(), "no".to_owned()],
            selectable: 1,
        };
        assert_says(message, content);
    }
}
