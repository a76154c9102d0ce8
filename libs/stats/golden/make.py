"""Writes cases.json: inputs and what scipy, statsmodels and gbstats answer, for every function of this crate.

    pip install -r requirements.txt && python make.py > cases.json

Nothing here is taken from the Rust code: where no library has a function, the formula's source is named and its parts are scipy's.
"""
import json
import sys

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import RatioStatistic, SampleMeanStatistic
from scipy import integrate, optimize, spatial, special, stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats import multitest, power, proportion

random = np.random.RandomState(20130701)
cases = []


def case(function, given, expected, tolerance=1e-9):
    numbers = np.atleast_1d(np.asarray(expected, dtype=float)).tolist()
    assert all(np.isfinite(numbers)), (function, given, numbers)
    cases.append({"function": function, "given": given, "expected": numbers, "tolerance": tolerance})


def moments(sample):
    return [len(sample), float(np.sum(sample)), float(np.sum(np.square(sample)))]


def welch():
    for size in [(2, 2), (2, 50), (5, 5), (10, 40), (100, 100), (1000, 30), (3000, 3000)]:
        for scale, shift in [(1.0, 0.0), (1.0, 1.0), (1e-6, 2e-6), (1e6, -3e6)]:
            one, other = random.normal(shift, scale, size[0]), random.normal(0.0, 2.0 * scale, size[1])
            for alpha in [0.05, 0.001]:
                test = stats.ttest_ind(one, other, equal_var=False)
                interval = test.confidence_interval(1 - alpha)
                case("means", {"treatment": one.tolist() if size[0] < 50 else moments(one), "control": other.tolist() if size[1] < 50 else moments(other), "alpha": alpha},
                     [test.statistic, test.pvalue, test.df, interval.low, interval.high])


def ratios():
    for units in [2, 10, 50, 200]:
        for rate in [0.01, 0.2]:
            arms = []
            for _ in range(2):
                calls = random.poisson(20, units) + 1.0
                arms.append((random.binomial(calls.astype(int), rate) + random.uniform(0, 0.1, units), calls))
            expected = []
            for y, x in arms:
                sums = lambda v: SampleMeanStatistic(n=units, sum=float(np.sum(v)), sum_squares=float(np.sum(v * v)))
                ratio = RatioStatistic(n=units, m_statistic=sums(y), d_statistic=sums(x), m_d_sum_of_products=float(np.sum(y * x)))
                expected.append((ratio.mean, ratio.variance / units))
            (p, v), (q, w) = expected
            case("ratios", {"treatment": [a.tolist() for a in arms[0]], "control": [a.tolist() for a in arms[1]]}, [p - q, np.sqrt(v + w)])


def clustered():
    for buckets in [2, 16, 64, 256]:
        for _ in range(3):
            given, expected = [], []
            for _ in range(2):
                calls = random.poisson(30, buckets) + 1
                rates = random.beta(2, 8, buckets)
                errors = random.binomial(calls, rates)
                y = np.concatenate([[1.0] * e + [0.0] * (c - e) for e, c in zip(errors, calls)])
                groups = np.repeat(np.arange(buckets), calls)
                # With a constant alone, statsmodels' small-sample factor is K/(K-1).
                fit = OLS(y, np.ones_like(y)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True})
                expected.append((fit.params[0], fit.bse[0] ** 2))
                given.append([[float(e), int(c)] for e, c in zip(errors, calls)])
            (p, v), (q, w) = expected
            standard = np.sqrt(v + w)
            case("clustered", {"treatment": given[0], "control": given[1]}, [p - q, standard, 2 * stats.t.sf(abs(p - q) / standard, 2 * buckets - 2)])


def adjusted():
    for units in [10, 40]:
        for strength in [0.0, 0.7, 5.0]:
            before = random.normal(3, 1, 2 * units)
            treated = np.repeat([1.0, 0.0], units)
            after = strength * before + 0.3 * treated + random.normal(0, 1, 2 * units)
            # The slope within variants is that of a regression on both.
            fit = OLS(after, np.column_stack([np.ones_like(after), treated, before])).fit()
            freed = after - fit.params[2] * before
            test = stats.ttest_ind(freed[:units], freed[units:], equal_var=False)
            case("adjusted", {"treatment": [after[:units].tolist(), before[:units].tolist()], "control": [after[units:].tolist(), before[units:].tolist()]},
                 [fit.params[1], test.pvalue])


def mixture():
    for units in [50, 400, 5_000, 1_000_000]:
        for tightest in [100.0, 10_000.0, 1e6]:
            for alpha in [0.05, 0.001]:
                mean, deviation = random.normal(0, 1), random.uniform(0.5, 2)
                n = units // 2
                arm = lambda m: SampleMeanStatistic(n=n, sum=n * m, sum_squares=(n - 1) * deviation**2 + n * m * m)
                control, treatment = arm(0.0), arm(mean * 3 * deviation * np.sqrt(2 / n))
                test = SequentialTwoSidedTTest(control, treatment, SequentialConfig(alpha=alpha, difference_type="absolute", sequential_tuning_parameter=tightest))
                low, high = test.confidence_interval
                estimate, standard = test.point_estimate, np.sqrt(test.variance)
                rho = tightest / (-2 * np.log(alpha) + np.log1p(-2 * np.log(alpha)))
                z = estimate / standard
                log_e = 0.5 * np.log(rho / (units + rho)) + z * z * units / (2 * (units + rho))
                case("mixture", {"estimate": estimate, "standard_error": standard, "units": units, "tightest": tightest, "alpha": alpha}, [rho, low, high, log_e])
    for variance in [1.0, 100.0, 1e6]:
        for alpha in [0.05, 0.001]:
            # Howard, Ramdas, McAuliffe and Sekhon (2021), proposition 6.
            rho = 100.0 / (-2 * np.log(2 * alpha) + np.log1p(-2 * np.log(2 * alpha)))
            log_e = lambda s: 0.5 * np.log(4 * rho / (variance + rho)) + s * s / (2 * (variance + rho)) + special.log_ndtr(s / np.sqrt(variance + rho))
            bound = optimize.brentq(lambda s: log_e(s) + np.log(alpha), 0, 1e9, xtol=1e-13, rtol=1e-15)
            case("mixture_one_sided", {"variance": variance, "alpha": alpha, "sum": float(-3 * np.sqrt(variance))}, [rho, log_e(-3 * np.sqrt(variance)), log_e(0.0), bound])
    for k, p, q, tau in [(10_000, 0.10, 0.112, 0.01), (500, 0.5, 0.6, 0.05), (86_400, 0.01, 0.0101, 0.001)]:
        # Johari, Pekelis and Walsh (2017): the normal likelihood ratio, mixed over effects with deviation tau.
        v, d = p * (1 - p) + q * (1 - q), q - p
        ratio = stats.norm.logpdf(d, 0, np.sqrt(v / k + tau**2)) - stats.norm.logpdf(d, 0, np.sqrt(v / k))
        case("msprt", {"units": k, "variance": v, "difference": d, "tau": tau}, ratio)


def counts():
    for ours, theirs in [(0, 0), (0, 10), (10, 0), (1, 1), (150, 100), (3, 41), (41, 3), (1_000, 9_000), (120_000, 80_000)]:
        for share in [0.01, 0.1, 0.5, 0.9]:
            a, b = 50 * share, 50 * (1 - share)
            value = special.betaln(ours + a, theirs + b) - special.betaln(a, b) - ours * np.log(share) - theirs * np.log1p(-share)
            case("events", {"treatment": ours, "control": theirs, "share": share}, value)
    for units, planned in [([50_600, 49_400], [0.5, 0.5]), ([0, 0], [0.5, 0.5]), ([95, 5], [0.9, 0.1]), ([900, 1_000, 1_100], [1 / 3] * 3), ([10_000, 1_200], [0.9, 0.1]), ([7, 0], [0.05, 0.95]),
                           ([1_000_000, 1_001_000], [0.5, 0.5]), ([400, 300, 200, 100], [0.4, 0.3, 0.2, 0.1])]:
        # The Dirichlet-multinomial against the multinomial, from scipy's own distributions.
        alpha, n = 1_000 * np.array(planned), int(np.sum(units))
        value = stats.dirichlet_multinomial.logpmf(units, alpha, n) - stats.multinomial.logpmf(units, n, planned)
        case("assignments", {"units": units, "planned": planned}, value, 1e-9 if n < 1_000_000 else 1e-8)


def spent(kind, t, alpha):
    if kind == "OBrienFleming":
        return 2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(t))
    if kind == "Pocock":
        return alpha * np.log(1 + (np.e - 1) * t)
    return alpha * t**3.0


def group_sequential():
    nodes, weights = np.polynomial.legendre.leggauss(600)

    def boundaries(times, alpha, kind):
        bounds, place, mass, before = [], np.array([0.0]), np.array([1.0]), (0.0, 0.0)
        for t in times:
            step = np.sqrt(t - before[0])
            share = spent(kind, t, alpha / 2) - before[1]
            above = lambda b: np.sum(mass * stats.norm.sf((b * np.sqrt(t) - place) / step)) - share
            bound = optimize.brentq(above, 0, 30, xtol=1e-14, rtol=1e-15)
            edge = min(bound * np.sqrt(t), 8.5 * np.sqrt(t))
            new = nodes * edge
            density = stats.norm.pdf((new[:, None] - place[None, :]) / step) @ mass / step
            place, mass, before = new, density * weights * edge, (t, spent(kind, t, alpha / 2))
            bounds.append(bound)
        return bounds

    def power_of(times, bounds, drift):
        place, mass, before, found = np.array([0.0]), np.array([1.0]), 0.0, 0.0
        for t, bound in zip(times, bounds):
            step, moved = np.sqrt(t - before), place + drift * (t - before)
            edge = bound * np.sqrt(t)
            found += np.sum(mass * (stats.norm.sf((edge - moved) / step) + stats.norm.cdf((-edge - moved) / step)))
            low, high = max(-edge, drift * t - 8.5 * np.sqrt(t)), min(edge, drift * t + 8.5 * np.sqrt(t))
            new = (high + low) / 2 + nodes * (high - low) / 2
            density = stats.norm.pdf((new[:, None] - moved[None, :]) / step) @ mass / step
            place, mass, before = new, density * weights * (high - low) / 2, t
        return found

    for times in [[1.0], [0.5, 1.0], [0.2, 0.4, 0.6, 0.8, 1.0], [0.3, 0.35, 0.9, 1.0], [0.1 * k for k in range(1, 10)] + [1.0], [0.25, 0.5, 0.75]]:
        for alpha in [0.05, 0.01]:
            for kind in ["OBrienFleming", "Pocock", "Power"]:
                bounds = boundaries(times, alpha, kind)
                powers = [power_of(times, bounds, drift) for drift in (0.0, 1.0, 2.8, 4.0)]
                case("group_sequential", {"times": times, "alpha": alpha, "spending": kind}, bounds + powers)
    # Two looks, by adaptive quadrature.
    b1, b2 = boundaries([0.5, 1.0], 0.05, "Pocock")
    inside = integrate.quad(lambda s: stats.norm.pdf(s, 0, np.sqrt(0.5)) * (stats.norm.cdf((b2 - s) / np.sqrt(0.5)) - stats.norm.cdf((-b2 - s) / np.sqrt(0.5))), -b1 * np.sqrt(0.5), b1 * np.sqrt(0.5))[0]
    assert abs(1 - inside - 0.05) < 1e-12, inside


def planning():
    for p, q in [(0.10, 0.11), (0.5, 0.52), (0.01, 0.012), (0.2, 0.25), (0.9, 0.91)]:
        for alpha, wanted in [(0.05, 0.8), (0.05, 0.9), (0.01, 0.8)]:
            v, w = p * (1 - p), q * (1 - q)
            size = abs(q - p) / np.sqrt((v + w) / 2)
            exact = optimize.brentq(lambda n: power.NormalIndPower().power(size, n, alpha) - wanted, 10, 1e8, xtol=1e-9, rtol=1e-15)
            case("plan", {"effect": q - p, "variances": [v, w], "alpha": alpha, "power": wanted}, exact)


def shares():
    for one, other in [((0, 10), (0, 20)), ((10, 10), (0, 10)), ((1, 100), (5, 100)), ((700, 1000), (650, 1000)), ((3, 100_000), (9, 100_000)), ((50, 50), (49, 50))]:
        for alpha in [0.05, 0.001]:
            low, high = proportion.confint_proportions_2indep(*one, *other, method="newcomb", compare="diff", alpha=alpha)
            wilson = proportion.proportion_confint(*one, alpha=alpha, method="wilson")
            case("newcombe", {"treatment": one, "control": other, "alpha": alpha}, [low, high])
            case("wilson", {"share": one, "alpha": alpha}, np.clip(wilson, 0, 1))


def sequences():
    for events, trials in [(0, 1), (0, 2_500), (1, 1), (7, 100), (700, 1_000), (50, 1_000_000), (999_999, 1_000_000)]:
        for alpha in [0.05, 0.01, 0.0005]:
            mixed = special.betaln(0.5 + events, 0.5 + trials - events) - special.betaln(0.5, 0.5)
            excess = lambda p: mixed - special.xlogy(events, p) - special.xlog1py(trials - events, -p) + np.log(alpha)
            estimate = events / trials
            low = optimize.brentq(excess, 1e-300, estimate, xtol=1e-16, rtol=1e-15) if events > 0 and excess(1e-300) > 0 else 0.0
            high = optimize.brentq(excess, estimate, 1 - 1e-16, xtol=1e-16, rtol=1e-15) if events < trials and excess(1 - 1e-16) > 0 else 1.0
            case("confidence_sequence", {"events": events, "trials": trials, "alpha": alpha}, [low, high])


def multiple():
    for count in [1, 2, 10, 50]:
        values = np.concatenate([random.uniform(0, 1, count), random.uniform(0, 0.001, count // 3)])
        for method, name in [("fdr_bh", "benjamini_hochberg"), ("fdr_by", "benjamini_yekutieli")]:
            case(name, {"p": values.tolist()}, multitest.multipletests(values, method=method)[1])
        values = random.normal(2, 3, count)
        # Wang and Ramdas (2022): the e-value's inverse is a p-value.
        case("e_benjamini_hochberg", {"ln_e": values.tolist(), "alpha": 0.1}, multitest.multipletests(np.exp(-values), alpha=0.1, method="fdr_bh")[0])


def distances():
    for size in [2, 5, 10, 40]:
        for scale in [1, 100]:
            one, other = random.poisson(5 * scale, size) + 1, random.poisson(5 * scale, size) + random.randint(0, 2 * scale, size)
            other[0] = 0 if size > 2 else 1
            places = np.sort(random.normal(0, 10, size))
            ks = stats.ks_2samp(np.repeat(places, one), np.repeat(places, other), method="asymp").statistic
            n = one.sum() * other.sum() / (one.sum() + other.sum())
            js = spatial.distance.jensenshannon(one, other, base=2)
            case("distances", {"places": places.tolist(), "one": one.tolist(), "other": other.tolist()},
                 [ks, special.kolmogorov(ks * np.sqrt(n)), stats.wasserstein_distance(places, places, one, other), js])
    for x in [0.1, 0.3, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0]:
        case("kolmogorov", {"distance": x, "one": 2, "other": 2}, special.kolmogorov(x))


def drift():
    for x, degrees, centre in [(16.9, 9, 0.0), (5, 4, 2), (150, 9, 120), (1, 1, 0.5), (300, 19, 250), (0.01, 3, 1)]:
        case("noncentral", {"x": x, "degrees": degrees, "noncentrality": centre}, stats.ncx2.cdf(x, degrees, centre) if centre else stats.chi2.cdf(x, degrees))
    for buckets in [2, 3, 5, 10, 20]:
        for n, m in [(1_000, 1_000), (100_000, 2_000)]:
            reference, traffic = random.multinomial(n, [1 / buckets] * buckets), random.multinomial(m, random.dirichlet([40] * buckets))
            q, p = (reference + 0.5) / (n + 0.5 * buckets), (traffic + 0.5) / (m + 0.5 * buckets)
            psi, effective = float(np.sum((p - q) * np.log(p / q))), 1 / (1 / n + 1 / m)
            bound = lambda chance: optimize.brentq(lambda c: stats.ncx2.cdf(psi * effective, buckets - 1, c) - chance, 1e-12, 1e5) / effective if stats.chi2.cdf(psi * effective, buckets - 1) > chance else 0.0
            case("psi", {"reference": reference.tolist(), "traffic": traffic.tolist(), "alpha": 0.01}, [psi, bound(0.99), bound(0.01)])


def detector():
    for usual in [0.0, 0.05, 0.3, 0.6]:
        errors = (random.uniform(size=200) < usual + 0.1).astype(float)
        bets = [b for b in (0.25, 0.5, 1.0, 2.0, 4.0) if b * usual < 1]
        evidence = np.zeros(len(bets))
        for error in errors:
            # Shin, Ramdas and Rinaldo (2023), the Shiryaev-Roberts form.
            evidence = (evidence + 1) * (1 + np.array(bets) * (error - usual))
        case("detector", {"usual": usual, "errors": errors.tolist()}, np.log(evidence.mean()))


for make in [welch, ratios, clustered, adjusted, mixture, counts, group_sequential, planning, shares, sequences, multiple, distances, drift, detector]:
    make()
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
print(len(cases), "cases", file=sys.stderr)
