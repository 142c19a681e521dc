//! Losses with exact gradients, behind one registry.
//!
//! To add one: a file that implements [`Loss`], and a line in [`REGISTRY`].

mod adjacency;
mod angles;
mod barlow;
mod cca_ssg;
mod columns;
mod contract;
mod curvature;
mod distance_preservation;
mod distillation;
mod edge_bce;
mod ewc;
mod false_negatives;
mod features;
mod graph_classes;
mod head;
mod inbatch;
mod infomax;
mod infonce;
mod inputs;
mod labels;
mod laplacian;
mod lengths;
mod linear;
mod link_prediction;
mod links;
mod listed_pairs;
mod local_contrastive;
mod logistic;
mod lookup;
mod multi_hop;
mod neighbor_contrastive;
mod node_classes;
mod norm;
mod orthogonality;
mod pairs;
pub mod pooling;
mod rows;
mod softmax;
mod sparsity;
mod sweep;
#[cfg(test)]
mod testing;
mod triplet;
mod vicreg;

pub use contract::{
    ByNumber, Call, Domain, Input, Kind, Lookup, Loss, OptionValue, Options, Outcome, Reduction,
    Setting, Spec, Values,
};
pub use inputs::{Argument, Array, Gradients, Inputs, Shape};

use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;

/// All losses.
pub static REGISTRY: &[Entry] = &[
    entry::<infonce::InfoNce>(),
    entry::<inbatch::InBatch>(),
    entry::<cca_ssg::CcaSsg>(),
    entry::<ewc::Ewc>(),
    entry::<laplacian::Laplacian>(),
    entry::<norm::Norm>(),
    entry::<orthogonality::Orthogonality>(),
    entry::<sparsity::Sparsity>(),
    entry::<distillation::Distillation>(),
    entry::<link_prediction::LinkPrediction>(),
    entry::<local_contrastive::LocalContrastive>(),
    entry::<multi_hop::MultiHop>(),
    entry::<neighbor_contrastive::NeighborContrastive>(),
    entry::<triplet::Triplet>(),
    entry::<adjacency::Adjacency>(),
    entry::<listed_pairs::ListedPairs>(),
    entry::<angles::AnglePreservation>(),
    entry::<barlow::BarlowTwins>(),
    entry::<graph_classes::GraphClasses>(),
    entry::<node_classes::NodeClasses>(),
    entry::<edge_bce::EdgeBce>(),
    entry::<features::Features>(),
    entry::<infomax::Infomax>(),
    entry::<curvature::Curvature>(),
    entry::<distance_preservation::DistancePreservation>(),
    entry::<vicreg::VicReg>(),
];

/// A registered loss.
pub struct Entry {
    pub spec: &'static Spec,
    f32: Functions<f32>,
    f64: Functions<f64>,
}

/// A loss's generic functions for one element type.
pub struct Functions<T: 'static> {
    work: fn(&Inputs<'_, T>) -> usize,
    evaluate: Evaluate<T>,
}

type Evaluate<T> = fn(&Options<'_>, Call<'_, T>, &Workers<'_>) -> Result<Outcome>;

/// An element type that the registry holds functions for.
pub trait Element: Real {
    fn functions(entry: &Entry) -> &Functions<Self>;
}

impl Element for f32 {
    fn functions(entry: &Entry) -> &Functions<Self> {
        &entry.f32
    }
}

impl Element for f64 {
    fn functions(entry: &Entry) -> &Functions<Self> {
        &entry.f64
    }
}

const fn entry<L: Loss>() -> Entry {
    Entry {
        spec: L::SPEC,
        f32: functions::<L, f32>(),
        f64: functions::<L, f64>(),
    }
}

const fn functions<L: Loss, T: Real>() -> Functions<T> {
    Functions {
        work: work_of::<L, T>,
        evaluate: evaluate::<L, T>,
    }
}

fn work_of<L: Loss, T: Real>(inputs: &Inputs<'_, T>) -> usize {
    match inputs.table() {
        Some(table) => lookup::work(inputs, table.cols()),
        None => L::work(inputs),
    }
}

fn evaluate<L: Loss, T: Real>(
    options: &Options<'_>,
    call: Call<'_, T>,
    workers: &Workers<'_>,
) -> Result<Outcome> {
    let loss = L::parse(options)?;
    match call.inputs.table() {
        Some(table) => lookup::evaluate(&loss, call, table, workers),
        None => evaluate_here(&loss, call, workers),
    }
}

/// As [`Loss::evaluate`], and whatever holds a NaN is named.
fn evaluate_here<L: Loss, T: Real>(
    loss: &L,
    call: Call<'_, T>,
    workers: &Workers<'_>,
) -> Result<Outcome> {
    let inputs = call.inputs;
    if !L::FINDS_NAN {
        inputs.check_finite()?;
    }
    loss.evaluate(call, workers).map_err(|error| match error {
        // The evaluation may have stumbled over a NaN anywhere; say where the first one is.
        Error::Invalid { .. } => inputs.check_finite().err().unwrap_or(error),
        other => other,
    })
}

/// The registered loss called `name`.
pub fn find(name: &str) -> Result<&'static Entry> {
    REGISTRY
        .iter()
        .find(|entry| entry.spec.name == name)
        .ok_or_else(|| Error::invalid("name", format!("is {name:?}, which is not a known loss")))
}

/// A loss's result.
#[derive(Debug)]
pub struct Reduced {
    /// One value, or one an item for [`Reduction::None`].
    pub values: Vec<f64>,
    pub active: usize,
}

/// A rough count of multiplications of one evaluation.
pub fn work<T: Element>(entry: &Entry, inputs: &Inputs<'_, T>) -> usize {
    (T::functions(entry).work)(inputs)
}

/// Evaluates and reduces; fills `gradients` where given.
pub fn run<T: Element>(
    entry: &'static Entry,
    options: &[(String, OptionValue)],
    inputs: &Inputs<'_, T>,
    reduction: Reduction,
    gradients: Option<Vec<&mut [T]>>,
    workers: &Workers<'_>,
) -> Result<Reduced> {
    let options = Options::new(entry.spec, options)?;
    if !entry.spec.reductions.contains(&reduction) {
        return Err(Error::invalid(
            "reduction",
            format!(
                "is {:?}, which {} does not offer",
                reduction.name(),
                entry.spec.name
            ),
        ));
    }
    let gradients = gradients
        .map(|buffers| Gradients::new(inputs, buffers))
        .transpose()?;
    let call = Call {
        inputs,
        gradients,
        reduction,
    };
    let outcome = (T::functions(entry).evaluate)(&options, call, workers)?;
    // A sum of nothing is -0, which adding 0 makes 0.
    let reduce = |total: f64| vec![total * reduction.weight(outcome.counted) + 0.0];
    let values = match (outcome.values, reduction) {
        (Values::Items(items), Reduction::None) => items,
        (Values::Items(items), _) => reduce(items.iter().sum()),
        (Values::Total(total), _) => reduce(total),
    };
    Ok(Reduced {
        values,
        active: outcome.active,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (i, entry) in REGISTRY.iter().enumerate() {
            assert!(
                REGISTRY[..i]
                    .iter()
                    .all(|other| other.spec.name != entry.spec.name)
            );
            assert!(find(entry.spec.name).is_ok());
        }
        assert!(find("nothing").is_err());
    }

    #[test]
    fn options_must_fit_their_domain() {
        let spec = REGISTRY[0].spec;
        let options = |temperature| {
            vec![
                ("temperature".into(), OptionValue::Real(temperature)),
                ("positives".into(), OptionValue::Text("mean_own".into())),
            ]
        };
        assert!(Options::new(spec, &options(0.1)).is_ok());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Options::new(spec, &options(bad)).is_err());
        }
        assert!(Options::new(spec, &options(0.1)[..1]).is_err());
        let mut more = options(0.1);
        more.push(("other".into(), OptionValue::Flag(true)));
        assert!(Options::new(spec, &more).is_err());
    }
}
