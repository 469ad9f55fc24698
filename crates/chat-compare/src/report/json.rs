//! A comparison as JSON.

use chat_results::comparison::Comparison;

/// Returns the text of a comparison. Names of figures have their units; seeds are texts.
///
/// # Errors
///
/// When a figure is no number, so that nobody could read it.
pub fn to_text(comparison: &Comparison) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string_pretty(comparison)?;
    from_text(&text)?;
    Ok(text + "\n")
}

/// Reads a comparison.
///
/// # Errors
///
/// When the text is none.
pub fn from_text(text: &str) -> Result<Comparison, serde_json::Error> {
    serde_json::from_str(text)
}
