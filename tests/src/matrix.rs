//! Who may do what with a decision about a model, and what a colleague who may edit the namespace can do besides: the table that
//! the journeys prove on a real API server, and that `docs/approval.md` shows. This module must not know a cluster.

use std::fmt::Write;

/// Somebody who tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Trained the model; has `edit`.
    Author,
    /// Trained the model; has `edit` and the gatekeeper's role.
    AuthorAndGatekeeper,
    /// Has `edit`.
    Colleague,
    /// Has the gatekeeper's role.
    Gatekeeper,
    /// Has every right on ModelApprovals and ModelVersions: RBAC stops it nowhere.
    ServiceAccount,
    /// The operator's own account.
    Operator,
}

/// What they try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Approves a model that waits.
    Create,
    /// Approves it in somebody else's name.
    NameAnother,
    /// Approves other bytes under its name.
    WrongDigest,
    /// Approves what does not exist yet.
    TooEarly,
    /// Changes a decision.
    Edit,
    /// Takes a decision back.
    Delete,
    /// Hangs a decision on an owner that can be deleted.
    SetOwner,
}

/// What comes of it. Texts are parts of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Access control refuses.
    Rbac,
    /// An admission policy refuses, with one of these: where several policies refuse, the API server tells whichever was first.
    Policy(&'static [&'static str]),
    /// The definition of the kind refuses.
    Definition(&'static str),
    /// It is stored, and never holds.
    NeverHolds,
    /// The API server corrects it.
    Corrected,
    /// It is done, and the operator undoes it.
    Undone,
    /// It is done, and moves no traffic.
    Harmless,
    /// It is done, and counts.
    Counts,
}

impl Who {
    /// Everybody.
    pub const ALL: [Self; 6] = [Self::Author, Self::AuthorAndGatekeeper, Self::Colleague, Self::Gatekeeper, Self::ServiceAccount, Self::Operator];

    fn words(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::AuthorAndGatekeeper => "author who is a gatekeeper",
            Self::Colleague => "colleague with `edit`",
            Self::Gatekeeper => "**gatekeeper**",
            Self::ServiceAccount => "service account with every right",
            Self::Operator => "the operator's account",
        }
    }
}

impl Deed {
    /// Everything.
    pub const ALL: [Self; 7] = [Self::Create, Self::NameAnother, Self::WrongDigest, Self::TooEarly, Self::Edit, Self::Delete, Self::SetOwner];

    fn words(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::NameAnother => "name another approver",
            Self::WrongDigest => "wrong digest",
            Self::TooEarly => "before the version exists",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::SetOwner => "set an owner",
        }
    }
}

impl Outcome {
    /// As it stands in the table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rbac => "RBAC",
            Self::Policy(_) => "policy",
            Self::Definition(_) => "definition",
            Self::NeverHolds => "stored, never holds",
            Self::Corrected => "corrected by the API server",
            Self::Undone => "undone by the operator",
            Self::Harmless => "allowed, moves no traffic",
            Self::Counts => "**allowed**",
        }
    }
}

const NOT_YOURS: &str = "you trained this model; somebody else must";
const NO_PERSON: &str = "a person must";
const NOT_YOU: &str = "spec.approver must be you";
const OTHER_BYTES: &str = "spec.digest is not the digest of this ModelVersion";

/// What comes of a deed.
pub fn expected(who: Who, deed: Deed) -> Outcome {
    match (who, deed) {
        (Who::Author | Who::Colleague | Who::Operator, _) => Outcome::Rbac,
        (Who::AuthorAndGatekeeper | Who::Gatekeeper, Deed::Edit | Deed::SetOwner) => Outcome::Rbac,
        (Who::AuthorAndGatekeeper, Deed::Create | Deed::Delete) => Outcome::Policy(&[NOT_YOURS]),
        (Who::AuthorAndGatekeeper, Deed::WrongDigest) => Outcome::Policy(&[NOT_YOURS, OTHER_BYTES]),
        (Who::AuthorAndGatekeeper, Deed::NameAnother) => Outcome::Policy(&[NOT_YOU, NOT_YOURS]),
        (Who::AuthorAndGatekeeper | Who::Gatekeeper, Deed::TooEarly) => Outcome::NeverHolds,
        (Who::Gatekeeper, Deed::NameAnother) => Outcome::Policy(&[NOT_YOU]),
        (Who::Gatekeeper, Deed::WrongDigest) => Outcome::Policy(&[OTHER_BYTES]),
        (Who::Gatekeeper, Deed::Create | Deed::Delete) => Outcome::Counts,
        (Who::ServiceAccount, Deed::NameAnother) => Outcome::Policy(&[NOT_YOU, NO_PERSON]),
        (Who::ServiceAccount, Deed::WrongDigest) => Outcome::Policy(&[NO_PERSON, OTHER_BYTES]),
        (Who::ServiceAccount, Deed::Create | Deed::TooEarly | Deed::Delete) => Outcome::Policy(&[NO_PERSON]),
        (Who::ServiceAccount, Deed::Edit) => Outcome::Definition("a ModelApproval is immutable"),
        (Who::ServiceAccount, Deed::SetOwner) => Outcome::Policy(&["must not have an owner", NO_PERSON]),
    }
}

const ONLY_THE_OPERATOR: &str = "only the operator changes it";
const OUR_LABELS: &str = "only the operator makes pods with the labels";
const OUR_ACCOUNTS: &str = "only the operator makes pods that run as the account";
const OUR_TOKENS: &str = "only kubelets get tokens";
const ACCOUNT_STAYS: &str = "it goes with its ModelDeployment";

/// What a colleague with `edit` tries besides, and what comes of it.
pub const COLLEAGUE: [(&str, Outcome); 26] = [
    ("create a ModelVersion", Outcome::Rbac),
    ("write the status of a ModelVersion", Outcome::Rbac),
    ("write the status of a ModelDeployment", Outcome::Rbac),
    ("relabel the namespace `plimsoll.dev/approval=optional`", Outcome::Rbac),
    ("act as the operator (impersonate it)", Outcome::Rbac),
    ("create an EndpointSlice for the Service", Outcome::Rbac),
    ("train in another's name (annotation `plimsoll.dev/author`)", Outcome::Corrected),
    ("change the author of a TrainingJob", Outcome::Corrected),
    ("name a version that is not approved in the ModelDeployment", Outcome::Harmless),
    ("patch the routes ConfigMap", Outcome::Policy(&[ONLY_THE_OPERATOR])),
    ("patch the Service's selector", Outcome::Policy(&[ONLY_THE_OPERATOR])),
    ("patch the model Deployment (image)", Outcome::Policy(&[ONLY_THE_OPERATOR, OUR_LABELS])),
    ("patch the router Deployment (replicas)", Outcome::Policy(&[ONLY_THE_OPERATOR, OUR_LABELS])),
    ("scale the model Deployment to 0", Outcome::Undone),
    ("delete the routes ConfigMap", Outcome::Undone),
    ("patch the image of a running model pod", Outcome::Policy(&["what runs in this pod was approved"])),
    ("relabel the candidate's pod as the stable revision's", Outcome::Policy(&[OUR_LABELS])),
    ("create a Pod with the routers' labels", Outcome::Policy(&[OUR_LABELS])),
    ("create a Deployment of such pods", Outcome::Policy(&[OUR_LABELS])),
    ("create a ReplicaSet of such pods", Outcome::Policy(&[OUR_LABELS])),
    ("create a StatefulSet of such pods", Outcome::Policy(&[OUR_LABELS])),
    ("create a Job of such pods", Outcome::Policy(&[OUR_LABELS])),
    ("create a Pod with a TrainingJob's label", Outcome::Policy(&[OUR_LABELS])),
    ("create a Pod that runs as the routers' account", Outcome::Policy(&[OUR_ACCOUNTS])),
    ("make a token of the routers' account", Outcome::Policy(&[OUR_TOKENS])),
    ("delete the routers' account", Outcome::Policy(&[ACCOUNT_STAYS])),
];

/// Both tables, as Markdown.
pub fn markdown() -> String {
    let mut text = String::new();
    let heads = Deed::ALL.map(Deed::words).join(" | ");
    let _ = writeln!(text, "| | {heads} |\n|---|{}", "---|".repeat(Deed::ALL.len()));
    for who in Who::ALL {
        let cells = Deed::ALL.map(|deed| expected(who, deed).words()).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", who.words());
    }
    let _ = writeln!(text, "\n| A colleague with `edit` tries to | |\n|---|---|");
    for (trick, outcome) in COLLEAGUE {
        let _ = writeln!(text, "| {trick} | {} |", outcome.words());
    }
    text
}
