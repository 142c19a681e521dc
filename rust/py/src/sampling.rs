//! Pairs, neighbourhoods and subgraphs drawn from graphs.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use ruvector_core::graph::csr::Csr;
use ruvector_core::mining::{Similarity, Skip};
use ruvector_core::real::Real;
use ruvector_core::sampling::by_hops::{self, Mined, Wanted};
use ruvector_core::sampling::degree_edges::{Tolerance, degree_edges as draw_by_degrees};
use ruvector_core::sampling::hops::{self, Distances};
use ruvector_core::sampling::layers;
use ruvector_core::sampling::neighbors::{self, Batches};
use ruvector_core::sampling::random_edges::random_edges as draw_pairs;
use ruvector_core::sampling::subgraphs::{self, Kind};
use ruvector_core::sampling::{Batch, Block, STRATEGIES};

use crate::arrays::{matrix, slice};
use crate::enter::{LONG_WORK, enter};
use crate::errors::to_python;

type Ids<'py> = PyReadonlyArray1<'py, i64>;
type I64<'py> = Bound<'py, PyArray1<i64>>;
type I32<'py> = Bound<'py, PyArray1<i32>>;

/// The `indptr` and `indices` of a matrix that Python has checked.
type Parts<'py> = (Ids<'py>, PyReadonlyArray1<'py, i32>);

fn graph<'a>(parts: &'a Parts<'_>) -> PyResult<Csr<'a, f32>> {
    weighted(parts, None)
}

fn weighted<'a>(
    (indptr, indices): &'a Parts<'_>,
    values: Option<&'a PyReadonlyArray1<'_, f32>>,
) -> PyResult<Csr<'a, f32>> {
    let py = indptr.py();
    let values = values.map(|values| slice(values, "data")).transpose()?;
    let (indptr, indices) = (slice(indptr, "indptr")?, slice(indices, "indices")?);
    Csr::known(indptr, indices, values, indptr.len().saturating_sub(1))
        .map_err(|error| to_python(py, error))
}

#[pyfunction]
fn random_edges<'py>(
    py: Python<'py>,
    parts: Parts<'py>,
    directed: bool,
    count: usize,
    seed: u64,
) -> PyResult<(Bound<'py, PyArray2<i64>>, u64)> {
    let graph = graph(&parts)?;
    let work = count.saturating_mul(32);
    let drawn = enter(py, work, |workers| {
        draw_pairs(workers, &graph, directed, count, seed)
    })?;
    let count = drawn.pairs.len() / 2;
    let pairs = PyArray1::from_vec(py, drawn.pairs).reshape([count, 2])?;
    Ok((pairs, drawn.missing))
}

/// Pairs, two numbers each; how many each given pair got; how many needed lists of candidates.
type DegreeEdges<'py> = (I64<'py>, I64<'py>, usize);

/// `tolerance` is a number of degrees or, above 0, a share.
#[pyfunction]
fn degree_edges<'py>(
    parts: Parts<'py>,
    directed: bool,
    edges: (Ids<'py>, Ids<'py>),
    each: usize,
    tolerance: (usize, f64),
    seed: u64,
) -> PyResult<DegreeEdges<'py>> {
    let py = edges.0.py();
    let graph = graph(&parts)?;
    let edges = (slice(&edges.0, "edges")?, slice(&edges.1, "edges")?);
    let tolerance = match tolerance {
        (_, share) if share > 0.0 => Tolerance::Share(share),
        (degrees, _) => Tolerance::Degrees(degrees),
    };
    let work = graph.rows() + edges.0.len().saturating_mul(each).saturating_mul(256);
    let drawn = enter(py, work, |workers| {
        draw_by_degrees(workers, &graph, directed, edges, each, tolerance, seed)
    })?;
    Ok((
        drawn.pairs.into_pyarray(py),
        drawn.counts.into_pyarray(py),
        drawn.listed,
    ))
}

/// Nodes at distances `least` to `most` of each node, as CSR.
#[pyfunction]
fn hop_lists<'py>(
    py: Python<'py>,
    parts: Parts<'py>,
    nodes: Ids<'py>,
    least: usize,
    most: usize,
) -> PyResult<(I64<'py>, I32<'py>)> {
    let graph = graph(&parts)?;
    let nodes = slice(&nodes, "nodes")?;
    let work = nodes.len().saturating_mul(graph.rows());
    let lists = enter(py, work, |workers| {
        hops::hops(workers, &graph, nodes, Distances { least, most })
    })?;
    Ok((
        lists.indptr.into_pyarray(py),
        lists.indices.into_pyarray(py),
    ))
}

#[derive(FromPyObject)]
enum Embeddings<'py> {
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
}

fn mined<T: Real + numpy::Element>(
    graph: &Csr<'_, f32>,
    embeddings: &PyReadonlyArray2<'_, T>,
    nodes: &[i64],
    wanted: Wanted,
) -> PyResult<Mined> {
    let vectors = matrix(embeddings, "embeddings")?;
    let work = nodes.len().saturating_mul(vectors.data().len());
    enter(embeddings.py(), work, |workers| {
        by_hops::mine(workers, graph, vectors, nodes, wanted)
    })
}

/// Nodes and similarities, `k` each; how many were found and how many candidates there were.
type MinedArrays<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f32>>,
    I64<'py>,
    I64<'py>,
);

/// `choice` is k, how many and which share to skip, and whether similarity is the cosine; `draw` a
/// seed, where the nodes are drawn.
#[pyfunction]
#[pyo3(signature = (parts, embeddings, nodes, distances, choice, draw=None))]
fn mine_by_hops<'py>(
    py: Python<'py>,
    parts: Parts<'py>,
    embeddings: Embeddings<'py>,
    nodes: Ids<'py>,
    distances: (usize, Option<usize>),
    choice: (usize, usize, f64, bool),
    draw: Option<u64>,
) -> PyResult<MinedArrays<'py>> {
    let graph = graph(&parts)?;
    let nodes = slice(&nodes, "nodes")?;
    let (k, skip, share, cosine) = choice;
    let wanted = Wanted {
        least: distances.0,
        most: distances.1,
        k,
        draw,
        skip: if share > 0.0 {
            Skip::Share(share)
        } else {
            Skip::Count(skip)
        },
        similarity: if cosine {
            Similarity::Cosine
        } else {
            Similarity::Dot
        },
    };
    let found = match &embeddings {
        Embeddings::F32(vectors) => mined(&graph, vectors, nodes, wanted)?,
        Embeddings::F64(vectors) => mined(&graph, vectors, nodes, wanted)?,
    };
    let shape = [nodes.len(), k];
    Ok((
        PyArray1::from_vec(py, found.indices).reshape(shape)?,
        PyArray1::from_vec(py, found.similarities).reshape(shape)?,
        found.counts.into_pyarray(py),
        found.candidates.into_pyarray(py),
    ))
}

type Weights<'py> = Option<Bound<'py, PyArray1<f32>>>;

/// `indptr`, `indices`, weights, nodes, what rows are multiplied by.
type BlockArrays<'py> = (I64<'py>, I32<'py>, Weights<'py>, I64<'py>, Weights<'py>);

/// Places of the seeds, and blocks.
type BatchArrays<'py> = (I64<'py>, Vec<BlockArrays<'py>>);

fn arrays(py: Python<'_>, batches: Vec<Batch>) -> Vec<BatchArrays<'_>> {
    let block = |block: Block| {
        (
            block.indptr.into_pyarray(py),
            block.indices.into_pyarray(py),
            block.weights.map(|weights| weights.into_pyarray(py)),
            block.nodes.into_pyarray(py),
            block.scale.map(|scale| scale.into_pyarray(py)),
        )
    };
    batches
        .into_iter()
        .map(|batch| {
            let blocks = batch.blocks.into_iter().map(block).collect();
            (batch.positions.into_pyarray(py), blocks)
        })
        .collect()
}

/// Seeds, how many make a batch, and the number of the first batch.
type Seeds<'py> = (Ids<'py>, usize, u64);

fn batches<'a>((seeds, size, first): &'a Seeds<'_>) -> PyResult<Batches<'a>> {
    Ok(Batches {
        seeds: slice(seeds, "seeds")?,
        size: *size,
        first: *first,
    })
}

#[pyfunction]
fn sample_neighbors<'py>(
    py: Python<'py>,
    parts: (Parts<'py>, Option<PyReadonlyArray1<'py, f32>>),
    seeds: Seeds<'py>,
    fanouts: Vec<usize>,
    seed: u64,
) -> PyResult<Vec<BatchArrays<'py>>> {
    let graph = weighted(&parts.0, parts.1.as_ref())?;
    let cut = batches(&seeds)?;
    // Rows of later layers are many more than seeds.
    let work = cut.seeds.len().saturating_mul(4096);
    let sampled = enter(py, work, |workers| {
        neighbors::neighbors(workers, &graph, cut, &fanouts, seed)
    })?;
    Ok(arrays(py, sampled))
}

#[pyfunction]
fn sample_layers<'py>(
    py: Python<'py>,
    parts: (Parts<'py>, PyReadonlyArray1<'py, f32>),
    seeds: Seeds<'py>,
    sizes: Vec<usize>,
    importance: Option<PyReadonlyArray1<'py, f64>>,
    seed: u64,
) -> PyResult<Vec<BatchArrays<'py>>> {
    let matrix = weighted(&parts.0, Some(&parts.1))?;
    let cut = batches(&seeds)?;
    let importance = importance
        .as_ref()
        .map(|sums| slice(sums, "importance"))
        .transpose()?;
    let rows = cut.seeds.len() + sizes.iter().sum::<usize>() * cut.seeds.len() / cut.size.max(1);
    let sampled = enter(py, rows.saturating_mul(1024), |workers| {
        layers::layers(workers, &matrix, cut, &sizes, importance, seed)
    })?;
    Ok(arrays(py, sampled))
}

/// Sums of squared columns, each with all before it.
#[pyfunction]
fn column_importance<'py>(
    py: Python<'py>,
    parts: Parts<'py>,
    data: PyReadonlyArray1<'py, f32>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let matrix = weighted(&parts, Some(&data))?;
    let sums = enter(py, matrix.entries(), |_| {
        Ok(layers::column_importance(&matrix))
    })?;
    Ok(sums.into_pyarray(py))
}

/// What nodes are drawn by: sums of importance, or nodes to begin with and the steps of a walk.
#[derive(FromPyObject)]
enum Drawn<'py> {
    Nodes(PyReadonlyArray1<'py, f64>),
    Walks((Ids<'py>, usize)),
    Edges(Ids<'py>),
}

fn kind<'a>(drawn: &'a Drawn<'_>) -> PyResult<Kind<'a>> {
    Ok(match drawn {
        Drawn::Nodes(sums) => Kind::Nodes(slice(sums, "importance")?),
        Drawn::Walks((roots, length)) => Kind::Walks(slice(roots, "roots")?, *length),
        Drawn::Edges(nodes) => Kind::Edges(slice(nodes, "nodes")?),
    })
}

/// Nodes, `indptr`, `indices` and the entries' places in the whole matrix.
type SubgraphArrays<'py> = (I64<'py>, I64<'py>, I32<'py>, I64<'py>);

/// `number` is that of the first subgraph and how many follow it.
#[pyfunction]
fn sample_subgraphs<'py>(
    py: Python<'py>,
    parts: Parts<'py>,
    drawn: Drawn<'py>,
    size: usize,
    number: (u64, usize),
    seed: u64,
) -> PyResult<Vec<SubgraphArrays<'py>>> {
    let graph = graph(&parts)?;
    let kind = kind(&drawn)?;
    let work = size.saturating_mul(number.1).saturating_mul(1024);
    let sampled = enter(py, work, |workers| {
        subgraphs::subgraphs(workers, &graph, kind, size, number, seed)
    })?;
    Ok(sampled
        .into_iter()
        .map(|subgraph| {
            (
                subgraph.nodes.into_pyarray(py),
                subgraph.indptr.into_pyarray(py),
                subgraph.indices.into_pyarray(py),
                subgraph.entries.into_pyarray(py),
            )
        })
        .collect())
}

/// How many of `runs` subgraphs held each node and each entry.
#[pyfunction]
fn count_subgraphs<'py>(
    py: Python<'py>,
    parts: Parts<'py>,
    drawn: Drawn<'py>,
    size: usize,
    runs: usize,
    seed: u64,
) -> PyResult<(I64<'py>, I64<'py>)> {
    let graph = graph(&parts)?;
    let kind = kind(&drawn)?;
    let work = size
        .saturating_mul(runs)
        .saturating_mul(1024)
        .max(LONG_WORK / 100);
    let counts = enter(py, work, |workers| {
        subgraphs::counts(workers, &graph, kind, size, runs, seed)
    })?;
    Ok((
        counts.nodes.into_pyarray(py),
        counts.entries.into_pyarray(py),
    ))
}

/// Numbers in the specification and names.
#[pyfunction]
fn sampling_strategies() -> Vec<(&'static str, &'static str)> {
    STRATEGIES.to_vec()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(random_edges, module)?)?;
    module.add_function(wrap_pyfunction!(degree_edges, module)?)?;
    module.add_function(wrap_pyfunction!(hop_lists, module)?)?;
    module.add_function(wrap_pyfunction!(mine_by_hops, module)?)?;
    module.add_function(wrap_pyfunction!(sample_neighbors, module)?)?;
    module.add_function(wrap_pyfunction!(sample_layers, module)?)?;
    module.add_function(wrap_pyfunction!(column_importance, module)?)?;
    module.add_function(wrap_pyfunction!(sample_subgraphs, module)?)?;
    module.add_function(wrap_pyfunction!(count_subgraphs, module)?)?;
    module.add_function(wrap_pyfunction!(sampling_strategies, module)?)?;
    Ok(())
}
