use super::*;

#[test]
fn the_default_file_names_every_setting_with_its_default() {
    let uncommented: String = DEFAULT_FILE
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .flat_map(|line| [line, "\n"])
        .collect();
    let table: toml::Table = uncommented.parse().expect("TOML");
    for setting in production() {
        let value = &table[&setting.name.to_lowercase()];
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(text, setting.default, "{}", setting.name);
        assert!(DEFAULT_FILE.contains(setting.help), "{}", setting.name);
    }
    assert_eq!(table.len(), production().count());
}

#[test]
fn the_readme_has_the_table_of_config_print_markdown() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("<!-- settings -->\n").expect("a mark");
    let (table, _) = rest.split_once("<!-- /settings -->").expect("its end");
    assert!(
        table == markdown(),
        "put the output of `whatsapp-worker config print --markdown` between the marks"
    );
}
