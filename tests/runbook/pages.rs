//! `runbook.md` as data: its sections, and what stands in them between backticks and in code blocks.

/// One section, from its `##` to the next.
pub struct Page {
    pub title: &'static str,
    text: &'static str,
}

/// All sections, in their order.
pub fn pages() -> Vec<Page> {
    read(include_str!("../../runbook.md"))
}

pub fn read(text: &'static str) -> Vec<Page> {
    // The first part is what stands before the first section.
    let (_, sections) = text.split_once("\n## ").unwrap_or_default();
    let text = text.strip_prefix("## ").unwrap_or(sections);
    text.split("\n## ")
        .filter_map(|section| section.split_once('\n'))
        .map(|(title, text)| Page { title, text })
        .collect()
}

impl Page {
    /// What stands between backticks, and each line of the code blocks, in order.
    pub fn quotes(&self) -> Vec<String> {
        let mut quotes = Vec::new();
        // The odd parts are code blocks, whose first line names their language.
        for (n, part) in self.text.split("```").enumerate() {
            let lines = part.lines().skip(1);
            if n % 2 == 1 {
                let whole = lines.map(|line| line.split(" # ").next().unwrap_or(line).trim());
                quotes.extend(whole.filter(|line| !line.is_empty()).map(str::to_owned));
            } else {
                let inline = part.split('`').skip(1).step_by(2);
                // It may be wrapped anywhere.
                let whole = inline.map(|quote| quote.split_whitespace().collect::<Vec<_>>());
                quotes.extend(whole.map(|words| words.join(" ")));
            }
        }
        quotes
    }

    /// What is to be typed, in order.
    pub fn commands(&self) -> Vec<String> {
        let typed = |quote: &String| {
            let mut words = quote.split(' ');
            let program = words.next().unwrap_or_default();
            words.next().is_some() && ["whatsapp-worker", "curl", "mv"].contains(&program)
        };
        self.quotes().into_iter().filter(typed).collect()
    }

    /// The names of events that the section tells of, each once.
    pub fn events(&self) -> Vec<String> {
        let named = |quote: &String| {
            let ours = quote.starts_with("whatsapp.") || quote.starts_with("agent.");
            ours && !quote.contains([' ', '*'])
        };
        let mut names: Vec<String> = self.quotes().into_iter().filter(named).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The names of metrics that the section tells of, each once.
    pub fn metrics(&self) -> Vec<String> {
        let quotes = self.quotes();
        let named = quotes.iter().filter(|quote| quote.starts_with("wa_"));
        let named = named.map(|quote| quote.split('{').next().unwrap_or(quote).to_owned());
        let mut names: Vec<String> = named.collect();
        names.sort();
        names.dedup();
        names
    }

    /// The line of a log or a command that begins so.
    ///
    /// # Panics
    /// The section quotes no such line.
    pub fn line(&self, begins: &str) -> String {
        let quotes = self.quotes();
        let line = quotes.iter().find(|quote| quote.starts_with(begins));
        let none = || panic!("{}: no line begins with {begins:?}", self.title);
        line.unwrap_or_else(none).clone()
    }

    /// Whether the section says this.
    pub fn mentions(&self, what: &str) -> bool {
        self.text.contains(what)
    }
}

/// Whether `said` contains `line`, in which `<…>` and `…` stand for anything.
pub fn fits(line: &str, said: &str) -> bool {
    let mut rest = Some(said);
    let parts = line.split('<').flat_map(|part| part.split('>'));
    // Behind a `<` stands a name up to its `>`.
    let fixed = parts.enumerate().filter(|(n, _)| n % 2 == 0);
    for part in fixed.flat_map(|(_, part)| part.split('…')) {
        rest = rest
            .and_then(|rest| rest.split_once(part))
            .map(|(_, rest)| rest);
    }
    rest.is_some()
}
