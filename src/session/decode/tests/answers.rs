use super::*;
use wa::message::buttons_response_message::Response;
use wa::message::interactive_response_message as interactive;

#[test]
fn answers_to_buttons_and_lists() {
    let pressed = |id: &str, text: &str| Content::ButtonReply {
        id: id.to_owned(),
        text: text.to_owned(),
    };
    let button = wa::message::ButtonsResponseMessage {
        selected_button_id: Some("b1".to_owned()),
        response: Some(Response::SelectedDisplayText("Yes".to_owned())),
        ..Default::default()
    };
    let template = wa::message::TemplateButtonReplyMessage {
        selected_id: Some("t1".to_owned()),
        selected_display_text: Some("Call me".to_owned()),
        ..Default::default()
    };
    let row = wa::message::ListResponseMessage {
        title: Some("Small".to_owned()),
        description: Some("Serves two".to_owned()),
        single_select_reply: MessageField::some(
            wa::message::list_response_message::SingleSelectReply {
                selected_row_id: Some("r1".to_owned()),
            },
        ),
        ..Default::default()
    };
    let list_reply = Content::ListReply {
        id: "r1".to_owned(),
        title: "Small".to_owned(),
        description: Some("Serves two".to_owned()),
    };
    let rows = [
        (
            wa::Message {
                buttons_response_message: MessageField::some(button),
                ..Default::default()
            },
            pressed("b1", "Yes"),
        ),
        (
            wa::Message {
                template_button_reply_message: MessageField::some(template),
                ..Default::default()
            },
            pressed("t1", "Call me"),
        ),
        (flow(r#"{"id":"f1"}"#), pressed("f1", "Sure")),
        (flow("no JSON"), pressed("quick_reply", "Sure")),
        (
            wa::Message {
                list_response_message: MessageField::some(row),
                ..Default::default()
            },
            list_reply,
        ),
    ];
    for (message, content) in rows {
        assert_eq!(
            inbound(&message, &direct(), &us()),
            decoded(&message, content)
        );
    }
}

fn flow(params: &str) -> wa::Message {
    let flow = interactive::NativeFlowResponseMessage {
        name: Some("quick_reply".to_owned()),
        params_json: Some(params.to_owned()),
        ..Default::default()
    };
    wa::Message {
        interactive_response_message: MessageField::some(wa::message::InteractiveResponseMessage {
            body: MessageField::some(interactive::Body {
                text: Some("Sure".to_owned()),
                ..Default::default()
            }),
            interactive_response_message: Some(flow.into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn an_answer_that_chose_nothing_is_malformed() {
    let button = wa::Message {
        buttons_response_message: MessageField::some(Default::default()),
        ..Default::default()
    };
    assert_eq!(
        refusal_of(&button),
        "a button reply without the button's id"
    );
    let list = wa::Message {
        list_response_message: MessageField::some(Default::default()),
        ..Default::default()
    };
    assert_eq!(refusal_of(&list), "a list reply without the row's id");
    let interactive = wa::Message {
        interactive_response_message: MessageField::some(Default::default()),
        ..Default::default()
    };
    assert_eq!(
        refusal_of(&interactive),
        "an interactive reply without an answer"
    );
}
