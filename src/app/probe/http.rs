//! A page of the application's: its status, its length, what must and must not be on it.

use std::time::Duration;

use crate::app::AppError;
use crate::app::profile::{HttpProbe, Vars};

use super::{Outcome, json};

/// A page that takes longer is not up.
const PATIENCE: Duration = Duration::from_secs(30);

/// More of it is not read.
const PAGE_BYTES_MAX: u64 = 8 << 20;

pub(super) fn look(page: &HttpProbe, vars: &Vars, is_shut: bool) -> Result<Outcome, AppError> {
    let path = page.url.fill(vars)?;
    let url = if path.contains("://") {
        path
    } else {
        match vars.get("base_url").map(|base| base.trim_end_matches('/')) {
            None | Some("") => {
                return Ok(Outcome::Skipped("no base_url says where the site answers".to_owned()));
            }
            Some(base) => format!("{base}/{}", path.trim_start_matches('/')),
        }
    };
    if !url.starts_with("http://") {
        return Ok(Outcome::Skipped(format!(
            "{url} is not http://, which is all that is supported by this version"
        )));
    }
    if is_shut && page.shut.is_none() {
        return Ok(Outcome::Skipped("the site is shut".to_owned()));
    }
    let answer = match get(&url) {
        Ok(answer) => answer,
        Err(why) => return Ok(Outcome::Failed(format!("{url}: {why}"))),
    };
    if let (true, Some(shut)) = (is_shut, &page.shut) {
        return Ok(status(&url, answer.status, shut));
    }
    judge(page, &url, &answer, vars)
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

fn get(url: &str) -> Result<Answer, ureq::Error> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        // A redirect is an answer too: the profile says whether it is the wanted one.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // Only the command line reads the environment.
        .proxy(None)
        .user_agent(concat!("snap-backup/", env!("CARGO_PKG_VERSION")))
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let mut response = agent.get(url).call()?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(PAGE_BYTES_MAX).read_to_vec()?;
    Ok(Answer { status, body })
}

fn status(url: &str, found: u16, allowed: &[u16]) -> Outcome {
    if allowed.contains(&found) {
        return Outcome::Passed;
    }
    let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    Outcome::Failed(format!("{url} answers {found}, not {}", allowed.join(" or ")))
}

fn judge(page: &HttpProbe, url: &str, answer: &Answer, vars: &Vars) -> Result<Outcome, AppError> {
    if let failed @ Outcome::Failed(_) = status(url, answer.status, &page.status) {
        return Ok(failed);
    }
    let length = answer.body.len() as u64;
    if length < page.min_bytes {
        let wanted = page.min_bytes;
        return Ok(Outcome::Failed(format!("{url} is {length} bytes long, not {wanted} or more")));
    }
    let text = String::from_utf8_lossy(&answer.body);
    if let Some(found) = page.must_not.as_ref().and_then(|must_not| must_not.find(&text)) {
        return Ok(Outcome::Failed(format!("{url} shows {:?}", found.as_str())));
    }
    if let Some(must) = page.must.as_ref().filter(|must| !must.is_match(&text)) {
        return Ok(Outcome::Failed(format!("{url} does not show {:?}", must.as_str())));
    }
    json::compare(&answer.body, &page.json, vars)
}
