//! Answers to buttons and lists.

use waproto::whatsapp as wa;
use waproto::whatsapp::message::buttons_response_message::Response;
use waproto::whatsapp::message::interactive_response_message::InteractiveResponseMessage as Answer;

use super::body::Body;
use super::malformed;
use super::media::filled;
use crate::inbound::message::{Content, Malformed};

/// Reads whichever answer the message carries. An answer without the id of what was chosen is
/// malformed: nobody could act on it.
pub(super) fn read(message: &wa::Message) -> Option<Result<Body<'_>, Malformed>> {
    if let Some(button) = message.buttons_response_message.as_option() {
        let text = match &button.response {
            Some(Response::SelectedDisplayText(text)) => text.clone(),
            None => String::new(),
        };
        let context = button.context_info.as_option();
        return Some(pressed(&button.selected_button_id, text, context));
    }
    if let Some(button) = message.template_button_reply_message.as_option() {
        let text = button.selected_display_text.clone().unwrap_or_default();
        let context = button.context_info.as_option();
        return Some(pressed(&button.selected_id, text, context));
    }
    if let Some(row) = message.list_response_message.as_option() {
        return Some(chosen(row));
    }
    message
        .interactive_response_message
        .as_option()
        .map(flow_answer)
}

fn pressed<'a>(
    id: &Option<String>,
    text: String,
    context: Option<&'a wa::ContextInfo>,
) -> Result<Body<'a>, Malformed> {
    let id = filled(id).ok_or_else(|| malformed("a button reply without the button's id"))?;
    Ok(Body::new(Content::ButtonReply { id, text }, context))
}

fn chosen(row: &wa::message::ListResponseMessage) -> Result<Body<'_>, Malformed> {
    let reply = row.single_select_reply.as_option();
    let id = reply
        .and_then(|reply| filled(&reply.selected_row_id))
        .ok_or_else(|| malformed("a list reply without the row's id"))?;
    let content = Content::ListReply {
        id,
        title: row.title.clone().unwrap_or_default(),
        description: filled(&row.description),
    };
    Ok(Body::new(content, row.context_info.as_option()))
}

/// Native flows answer with JSON whose `id` is the button's; a flow of another kind is known by its
/// name only, and its whole answer stays in the raw message.
fn flow_answer(response: &wa::message::InteractiveResponseMessage) -> Result<Body<'_>, Malformed> {
    let shown = response.body.as_option().and_then(|body| body.text.clone());
    let Some(Answer::NativeFlowResponseMessage(flow)) = &response.interactive_response_message
    else {
        return Err(malformed("an interactive reply without an answer"));
    };
    let id = flow
        .params_json
        .as_deref()
        .and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok())
        .and_then(|params| Some(params.get("id")?.as_str()?.to_owned()));
    let id = filled(&id).or_else(|| filled(&flow.name));
    let context = response.context_info.as_option();
    pressed(&id, shown.unwrap_or_default(), context)
}
