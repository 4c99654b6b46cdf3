//! Compose text that many tests begin with.

/// Services that run the test image and are asked by http whether they are ready: for each its name and what else it
/// says, as in `command: [--boot, 1s]`. More of the file, such as `networks:`, can be put after it.
pub(crate) fn http_services(services: &[(&str, &str)]) -> String {
    let image = super::IMAGE;
    let mut text = format!(
        "x-target: &target\n  image: {image}\n  x-convoke: {{ ready: {{ http: {{ port: 8080, path: /ready }} }} }}\nservices:\n"
    );
    for (name, rest) in services {
        let comma = if rest.is_empty() { "" } else { ", " };
        text.push_str(&format!("  {name}: {{ <<: *target{comma}{rest} }}\n"));
    }
    text
}
