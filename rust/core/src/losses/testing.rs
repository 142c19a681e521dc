//! Calls of a registered loss, for the unit tests of each.

use super::*;
use crate::rng::Stream;

/// Values between -1 and 1.
pub fn normal(count: usize, key: u64) -> Vec<f64> {
    let mut stream = Stream::new(5, key);
    (0..count).map(|_| stream.uniform() * 2.0 - 1.0).collect()
}

enum Given {
    Absent,
    Floats(Vec<f64>, Vec<usize>),
    Indices(Vec<i64>, [usize; 1]),
}

/// A loss with its inputs, in order, and options.
pub struct Setup {
    entry: &'static Entry,
    inputs: Vec<Given>,
    options: Vec<(String, OptionValue)>,
}

impl Setup {
    pub fn new(name: &str) -> Self {
        Self {
            entry: find(name).unwrap(),
            inputs: Vec::new(),
            options: Vec::new(),
        }
    }

    pub fn floats(mut self, data: Vec<f64>, shape: &[usize]) -> Self {
        self.inputs.push(Given::Floats(data, shape.to_vec()));
        self
    }

    pub fn indices(mut self, data: Vec<i64>) -> Self {
        let shape = [data.len()];
        self.inputs.push(Given::Indices(data, shape));
        self
    }

    pub fn absent(mut self) -> Self {
        self.inputs.push(Given::Absent);
        self
    }

    pub fn real(mut self, name: &str, value: f64) -> Self {
        self.options.push((name.into(), OptionValue::Real(value)));
        self
    }

    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.options
            .push((name.into(), OptionValue::Text(value.into())));
        self
    }

    pub fn data(&self, at: usize) -> &[f64] {
        match &self.inputs[at] {
            Given::Floats(data, _) => data,
            _ => panic!("input {at} holds no floats"),
        }
    }

    pub fn index(&self, at: usize) -> &[i64] {
        match &self.inputs[at] {
            Given::Indices(data, _) => data,
            _ => panic!("input {at} holds no indices"),
        }
    }

    /// Numbers of the inputs with a gradient that are there.
    fn differentiable(&self) -> impl Iterator<Item = usize> {
        let inputs = self.entry.spec.inputs.iter().zip(&self.inputs).enumerate();
        inputs
            .filter(|(_, (spec, given))| {
                spec.kind.has_gradient() && matches!(given, Given::Floats(..))
            })
            .map(|(at, _)| at)
    }

    /// The reduced value and all gradients.
    pub fn run(&self, reduction: Reduction, threads: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
        let arguments: Vec<_> = self
            .inputs
            .iter()
            .map(|given| match given {
                Given::Absent => Argument::Absent,
                Given::Floats(data, shape) => Argument::Floats(Array { data, shape }),
                Given::Indices(data, shape) => Argument::Indices(Array { data, shape }),
            })
            .collect();
        let inputs = Inputs::new(self.entry.spec, &arguments).unwrap();
        let specs = self.entry.spec.inputs.iter().zip(&self.inputs);
        let mut gradients: Vec<Vec<f64>> = specs
            .filter(|(spec, _)| spec.kind.has_gradient())
            .map(|(_, given)| match given {
                Given::Floats(data, _) => vec![f64::NAN; data.len()],
                _ => Vec::new(),
            })
            .collect();
        let buffers = gradients.iter_mut().map(|buffer| &mut buffer[..]).collect();
        let workers = Workers::of(threads);
        let got = run(
            self.entry,
            &self.options,
            &inputs,
            reduction,
            Some(buffers),
            &workers,
        );
        gradients.retain(|gradient| !gradient.is_empty());
        (got.unwrap().values, gradients)
    }
}

/// Every gradient along two directions, and the same bits on 1 and 3 threads.
pub fn check_gradient(setup: &Setup) {
    let reduction = setup.entry.spec.reductions[0];
    let (value, gradients) = setup.run(reduction, 1);
    assert_eq!(setup.run(reduction, 3), (value, gradients.clone()));
    for (at, gradient) in setup.differentiable().zip(&gradients) {
        for key in 0..2 {
            let direction = normal(gradient.len(), 100 + key);
            let end = |sign: f64| {
                let mut moved = Setup::new(setup.entry.spec.name);
                moved.options.clone_from(&setup.options);
                moved.inputs = setup.inputs.iter().map(Given::copy).collect();
                if let Given::Floats(data, _) = &mut moved.inputs[at] {
                    for (x, step) in data.iter_mut().zip(&direction) {
                        *x += sign * 1e-6 * step;
                    }
                }
                moved.run(reduction, 1).0.iter().sum::<f64>()
            };
            let slope = (end(1.0) - end(-1.0)) / 2e-6;
            let want: f64 = gradient.iter().zip(&direction).map(|(g, s)| g * s).sum();
            let size = gradient.iter().fold(1.0, |top: f64, g| top.max(g.abs()));
            assert!(
                (slope - want).abs() < 1e-6 * size,
                "{} input {at}: {slope} for {want}",
                setup.entry.spec.name
            );
        }
    }
}

impl Given {
    fn copy(&self) -> Self {
        match self {
            Self::Absent => Self::Absent,
            Self::Floats(data, shape) => Self::Floats(data.clone(), shape.clone()),
            Self::Indices(data, shape) => Self::Indices(data.clone(), *shape),
        }
    }
}
