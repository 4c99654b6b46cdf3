//! Stands in the controller's place: answers upcalls as the test wants it, and writes down what was asked.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Clone)]
pub struct Controller {
    pub port: u16,
    state: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    /// Answered to re-attach.
    tenants: Vec<Value>,
    calls: Vec<(Instant, &'static str, Value)>,
}

impl Controller {
    /// On a free port.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    pub async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let state = Arc::new(Mutex::new(Notes::default()));
        let router = Router::new()
            .route("/upcall/v1/re-attach", post(re_attach))
            .route("/upcall/v1/validate", post(validate))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, state }
    }

    /// What the next re-attach is answered with: id, generation, mode.
    pub fn wants(&self, tenants: &[(&str, Option<u32>, &str)]) {
        let tenant = |(id, generation, mode): &(&str, Option<u32>, &str)| json!({ "id": id, "gen": generation, "mode": mode, "stripe_size": 2048 });
        self.state.lock().expect("no panic before").tenants = tenants.iter().map(tenant).collect();
    }

    /// Bodies of the calls since the last time.
    pub fn take(&self) -> Vec<(&'static str, Value)> {
        let calls = std::mem::take(&mut self.state.lock().expect("no panic before").calls);
        calls.into_iter().map(|(_, call, body)| (call, body)).collect()
    }
}

async fn re_attach(State(state): State<Arc<Mutex<Notes>>>, Json(body): Json<Value>) -> Json<Value> {
    let mut notes = state.lock().expect("no panic before");
    notes.calls.push((Instant::now(), "re-attach", body));
    Json(json!({ "tenants": notes.tenants }))
}

/// All generations are valid.
async fn validate(State(state): State<Arc<Mutex<Notes>>>, Json(body): Json<Value>) -> Json<Value> {
    let tenants = body["tenants"].as_array().cloned().unwrap_or_default();
    state.lock().expect("no panic before").calls.push((Instant::now(), "validate", body));
    let valid: Vec<_> = tenants.iter().map(|tenant| json!({ "id": tenant["id"], "valid": true })).collect();
    Json(json!({ "tenants": valid }))
}
