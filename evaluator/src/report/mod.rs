//! The report of an A/B test: a page for whoever asked the question, and the same numbers as JSON.
//!
//! | file | what it does |
//! |---|---|
//! | `input`, `found` | the test as it is handed over: what was asked, and what was found so far |
//! | `arms` | what was counted of a variant, over all revisions that answered for it |
//! | `facts` | everything that the page shows, as numbers (the JSON) |
//! | `chance` | what chance allows: intervals of now, and whether users fell on variants as planned |
//! | `axis`, `plot` | drawing: scales, and one plot as SVG |
//! | `figures` | which plots there are, and what is in them |
//! | `slices` | how variants differ for parts of the traffic, from records |
//! | `page`, `sections`, `forest` | the page |
//! | `words` | numbers and names as text |
//! | `rest` | who may hand over and ask |
//!
//! **Invariants:** a page needs nothing from outside and runs nothing; what somebody else wrote is text in it, never markup; the same test and
//! counts give the same page. What is not known is said in words, never drawn. It must not decide: verdicts come with what is handed over.

mod arms;
mod axis;
mod chance;
pub mod facts;
mod figures;
mod forest;
pub mod found;
pub mod input;
mod page;
mod plot;
mod rest;
mod sections;
pub mod slices;
mod words;

pub use page::page;
pub use rest::{asked, taken};
