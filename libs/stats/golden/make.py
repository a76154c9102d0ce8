"""Writes cases.json: inputs and what scipy, statsmodels and gbstats answer, for every function of this crate.

    pip install -r requirements.txt && python make.py > cases.json
    python make.py cases.json       # makes them again, and compares with what is there

Where no library has a function, the answer comes another way than in the Rust code: from likelihoods, quadrature or another recursion.
An expected number agrees within `tolerance` of its size, or of `floor` where it is smaller.
"""
import json
import sys

import numpy as np
from gbstats.frequentist.tests import FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest
from gbstats.models.statistics import RatioStatistic, SampleMeanStatistic
from scipy import integrate, optimize, spatial, special, stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats import multitest, power, proportion

random = np.random.RandomState(20130701)
cases = []


def case(function, given, expected, tolerance=1e-9, floor=1e-3):
    numbers = np.atleast_1d(np.asarray(expected, dtype=float)).tolist()
    assert all(np.isfinite(numbers)), (function, given, numbers)
    cases.append({"function": function, "given": given, "expected": numbers, "tolerance": tolerance, "floor": floor})


def welch_satterthwaite(v, d, w, e):
    return (v + w) ** 2 / (v**2 / d + w**2 / e)


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
                     [test.statistic, test.pvalue, test.df, interval.low, interval.high], floor=1e-9 * scale)


def ratios():
    for units in [2, 10, 50, 200]:
        for rate in [0.01, 0.2]:
            arms = []
            for _ in range(2):
                calls = random.poisson(20, units) + 1.0
                arms.append((random.binomial(calls.astype(int), rate) + random.uniform(0, 0.1, units), calls))
            sums = lambda v: SampleMeanStatistic(n=units, sum=float(np.sum(v)), sum_squares=float(np.sum(v * v)))
            treatment, control = (RatioStatistic(n=units, m_statistic=sums(y), d_statistic=sums(x), m_d_sum_of_products=float(np.sum(y * x))) for y, x in arms)
            test = TwoSidedTTest(control, treatment, FrequentistConfig(alpha=0.05, difference_type="absolute"))
            of_sums = [[units, float(np.sum(y)), float(np.sum(x)), float(np.sum(y * y)), float(np.sum(x * x)), float(np.sum(x * y))] for y, x in arms]
            case("ratios", {"treatment": [a.tolist() for a in arms[0]], "control": [a.tolist() for a in arms[1]], "sums": of_sums},
                 [test.point_estimate, np.sqrt(test.variance), test.p_value, *test.confidence_interval])


def clustered():
    for sizes in [(8, 8), (16, 16), (16, 64), (64, 64), (256, 256)]:
        for _ in range(3):
            given, expected = [], []
            for buckets in sizes:
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
            standard, degrees = np.sqrt(v + w), welch_satterthwaite(v, sizes[0] - 1, w, sizes[1] - 1)
            radius = standard * stats.t.isf(0.025, degrees)
            case("clustered", {"treatment": given[0], "control": given[1]}, [p - q, standard, 2 * stats.t.sf(abs(p - q) / standard, degrees), p - q - radius, p - q + radius])


def share_of_units():
    for one, other in [((25, 50), (25, 50)), ((100, 1_000), (130, 1_000)), ((30, 10_000), (400, 90_000)), ((700, 1_000), (6_900, 10_000))]:
        statistic, p = proportion.proportions_ztest([one[0], other[0]], [one[1], other[1]])
        case("shares", {"treatment": one, "control": other}, [statistic, p])


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
            # One degree of freedom less: the slope was estimated too.
            radius = fit.params[1] / test.statistic * stats.t.isf(0.025, test.df - 1)
            case("adjusted", {"treatment": [after[:units].tolist(), before[:units].tolist()], "control": [after[units:].tolist(), before[units:].tolist()]},
                 [fit.params[1], 2 * stats.t.sf(abs(test.statistic), test.df - 1), fit.params[1] - radius, fit.params[1] + radius])


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
                rho = 1 / test.rho**2
                e_value = -np.log(test.p_value) if test.p_value < 1 else None
                def mixed(z):
                    # Likelihood ratios over effects t in deviations of the mixture; all of it lies around the peak.
                    push, pull = z * np.sqrt(units / rho), 1 + units / rho
                    peak, width, height = push / pull, 1 / np.sqrt(pull), push * push / (2 * pull)
                    inside = integrate.quad(lambda t: stats.norm.pdf(t) * np.exp(t * push - t * t * (pull - 1) / 2 - height), peak - 12 * width, peak + 12 * width, points=[peak], epsabs=0, epsrel=1e-13, limit=400)[0]
                    return np.log(inside) + height
                by_likelihood = mixed(estimate / standard)
                assert e_value is None or abs(e_value - by_likelihood) < 1e-7 * max(1, e_value), (e_value, by_likelihood)
                case("mixture", {"estimate": estimate, "standard_error": standard, "units": units, "tightest": tightest, "alpha": alpha}, [rho, low, high, by_likelihood if e_value is None else e_value], 1e-8)
    for variance in [1.0, 100.0, 1e4]:
        for alpha in [0.05, 0.001]:
            # Howard, Ramdas, McAuliffe and Sekhon (2021): likelihood ratios, mixed over a half-normal distribution of effects.
            rho = 100.0 / (-2 * np.log(2 * alpha) + np.log1p(-2 * np.log(2 * alpha)))
            def log_e(s):
                peak = max(0.0, s / (variance + rho))
                height = peak * s - peak * peak * (variance + rho) / 2
                width = 12 / np.sqrt(variance + rho)
                inside = integrate.quad(lambda e: 2 * np.sqrt(rho / (2 * np.pi)) * np.exp(e * s - e * e * (variance + rho) / 2 - height), 0, peak + 3 * width, points=[peak] if peak > 0 else None, epsabs=0, epsrel=1e-13, limit=800)[0]
                return np.log(inside) + height
            bound = optimize.brentq(lambda s: log_e(s) + np.log(alpha), 0, 1e5, xtol=1e-12, rtol=1e-14)
            given = -3 * np.sqrt(variance)
            case("mixture_one_sided", {"variance": variance, "alpha": alpha, "sum": float(given)}, [rho, log_e(given), log_e(0.0), bound], 1e-8)
    for k, p, q, tau in [(10_000, 0.10, 0.112, 0.01), (500, 0.5, 0.6, 0.05), (86_400, 0.01, 0.0101, 0.001)]:
        # Johari, Pekelis and Walsh (2017): the normal likelihood ratio, mixed over effects with deviation tau.
        v, d = p * (1 - p) + q * (1 - q), q - p
        ratio = stats.norm.logpdf(d, 0, np.sqrt(v / k + tau**2)) - stats.norm.logpdf(d, 0, np.sqrt(v / k))
        case("msprt", {"units": k, "variance": v, "difference": d, "tau": tau}, ratio)


def counts():
    for ours, theirs in [(0, 0), (0, 10), (10, 0), (1, 1), (150, 100), (3, 41), (41, 3), (1_000, 9_000), (120_000, 80_000)]:
        for share in [0.01, 0.1, 0.5, 0.9]:
            n = ours + theirs
            value = stats.betabinom.logpmf(ours, n, 50 * share, 50 * (1 - share)) - stats.binom.logpmf(ours, n, share)
            case("events", {"treatment": ours, "control": theirs, "share": share}, value, 1e-9, 1.0)
    for units, planned in [([50_600, 49_400], [0.5, 0.5]), ([0, 0], [0.5, 0.5]), ([95, 5], [0.9, 0.1]), ([900, 1_000, 1_100], [1 / 3] * 3), ([10_000, 1_200], [0.9, 0.1]), ([7, 0], [0.05, 0.95]),
                           ([1_000_000, 1_001_000], [0.5, 0.5]), ([400, 300, 200, 100], [0.4, 0.3, 0.2, 0.1])]:
        # The Dirichlet-multinomial against the multinomial, from scipy's own distributions.
        alpha, n = 1_000 * np.array(planned), int(np.sum(units))
        value = stats.dirichlet_multinomial.logpmf(units, alpha, n) - stats.multinomial.logpmf(units, n, planned)
        case("assignments", {"units": units, "planned": planned}, value, 1e-9 if n < 1_000_000 else 1e-8, 1.0)


def spent(kind, t, alpha):
    t = min(t, 1.0)
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

    for times in [[1.0], [0.5, 1.0], [0.2, 0.4, 0.6, 0.8, 1.0], [0.3, 0.35, 0.9, 1.0], [0.1 * k for k in range(1, 10)] + [1.0], [0.25, 0.5, 0.75], [0.2, 0.201, 0.4, 1.0], [0.3, 0.7, 1.2]]:
        for alpha in [0.05, 0.01]:
            for kind in ["OBrienFleming", "Pocock", "Power"]:
                bounds = boundaries(times, alpha, kind)
                powers = [power_of(times, bounds, drift) for drift in (0.0, 1.0, 2.8, 4.0)]
                wanted = optimize.brentq(lambda drift: power_of(times, bounds, drift) - 0.8, 1, 6, xtol=1e-13)
                case("group_sequential", {"times": times, "alpha": alpha, "spending": kind}, bounds + powers + [wanted])
    for looks in [48, 96]:
        times = [k / looks for k in range(1, looks)] + [1.0]
        bounds = boundaries(times, 0.05, "Pocock")
        case("group_sequential", {"times": times, "alpha": 0.05, "spending": "Pocock"}, bounds + [power_of(times, bounds, drift) for drift in (0.0, 1.0, 2.8, 4.0)] + [optimize.brentq(lambda drift: power_of(times, bounds, drift) - 0.8, 1, 6, xtol=1e-13)])
    # Two looks, by adaptive quadrature.
    b1, b2 = boundaries([0.5, 1.0], 0.05, "Pocock")
    inside = integrate.quad(lambda s: stats.norm.pdf(s, 0, np.sqrt(0.5)) * (stats.norm.cdf((b2 - s) / np.sqrt(0.5)) - stats.norm.cdf((-b2 - s) / np.sqrt(0.5))), -b1 * np.sqrt(0.5), b1 * np.sqrt(0.5))[0]
    assert abs(1 - inside - 0.05) < 1e-12, inside
    # Both sides of two looks, by the bivariate normal distribution of their scores.
    for drift in [-1.0, 0.5, 3.0]:
        first = (stats.norm.cdf(-b1 - drift * np.sqrt(0.5)), stats.norm.sf(b1 - drift * np.sqrt(0.5)))
        after = lambda s, edge: stats.norm.pdf(s, drift * 0.5, np.sqrt(0.5)) * stats.norm.sf((edge - s - drift * 0.5) / np.sqrt(0.5))
        ends = (-b1 * np.sqrt(0.5), b1 * np.sqrt(0.5))
        above = integrate.quad(after, *ends, args=(b2,), epsabs=1e-14)[0]
        below = integrate.quad(lambda s: stats.norm.pdf(s, drift * 0.5, np.sqrt(0.5)) * stats.norm.cdf((-b2 - s - drift * 0.5) / np.sqrt(0.5)), *ends, epsabs=1e-14)[0]
        case("crossings", {"drift": drift}, [first[0], first[1], below, above, 0.5 * sum(first) + 1.0 * (1 - sum(first))], floor=1e-2)


def planning():
    for p, q in [(0.10, 0.11), (0.5, 0.52), (0.01, 0.012), (0.2, 0.25), (0.9, 0.91)]:
        for alpha, wanted in [(0.05, 0.8), (0.05, 0.9), (0.01, 0.8)]:
            for share in [0.5, 0.1]:
                v, w = q * (1 - q), p * (1 - p)
                # As many units of one variance in two even variants as tell as much.
                one = np.sqrt((v / share + w / (1 - share)) / 4)
                half = optimize.brentq(lambda n: power.NormalIndPower().power(abs(q - p) / one, n, alpha) - wanted, 10, 1e8, xtol=1e-9, rtol=1e-15)
                case("plan", {"effect": q - p, "variances": [v, w], "share": share, "alpha": alpha, "power": wanted}, 2 * half)


def intervals_of_shares():
    for one, other in [((0, 10), (0, 20)), ((10, 10), (0, 10)), ((1, 100), (5, 100)), ((700, 1000), (650, 1000)), ((3, 100_000), (9, 100_000)), ((50, 50), (49, 50))]:
        for alpha in [0.05, 0.001]:
            low, high = proportion.confint_proportions_2indep(*one, *other, method="newcomb", compare="diff", alpha=alpha)
            wilson = proportion.proportion_confint(*one, alpha=alpha, method="wilson")
            case("newcombe", {"treatment": one, "control": other, "alpha": alpha}, [low, high])
            case("wilson", {"share": one, "alpha": alpha}, np.clip(wilson, 0, 1))


def sequences():
    for events, trials in [(0, 1), (0, 2_500), (1, 1), (7, 100), (700, 1_000), (50, 1_000_000), (999_999, 1_000_000)]:
        for alpha in [0.05, 0.01, 0.0005]:
            # The beta-binomial against the binomial distribution.
            mixed = stats.betabinom.logpmf(events, trials, 0.5, 0.5)
            excess = lambda p: mixed - stats.binom.logpmf(events, trials, p) + np.log(alpha)
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
        length = 1e200
        errors = (random.uniform(size=200) < usual + 0.1).astype(int)
        counted = max(usual, 8 / length)
        # Shin, Ramdas and Rinaldo (2023): the sum over all beginnings of likelihood ratios from there on; a bet is a rate p0 (1 + bet (1 - p0)).
        sums = []
        for bet in (b for b in (0.25, 0.5, 1.0, 2.0, 4.0) if b * counted < 1):
            ratios = stats.bernoulli.pmf(errors, min(1.0, counted * (1 + bet * (1 - counted)))) / stats.bernoulli.pmf(errors, counted)
            sums.append(sum(np.prod(ratios[start:]) for start in range(len(ratios))))
        case("detector", {"usual": usual, "length": length, "errors": errors.tolist()}, np.log(np.mean(sums)))


for make in [welch, ratios, clustered, share_of_units, adjusted, mixture, counts, group_sequential, planning, intervals_of_shares, sequences, multiple, distances, drift, detector]:
    make()

def same(one, other):
    """Equal but for the last digits, which differ between processors."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    if isinstance(one, float):
        return abs(one - other) <= 1e-10 * max(abs(one), abs(other), 1e-3)
    return one == other


if len(sys.argv) > 1:
    with open(sys.argv[1]) as file:
        written = json.load(file)
    changed = [place for place, (one, other) in enumerate(zip(written, cases)) if not same(one, other)]
    if changed or len(written) != len(cases):
        sys.exit(f"{sys.argv[1]} has {len(written)} cases, the libraries give {len(cases)}; these differ: {changed}")
else:
    print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
print(len(cases), "cases", file=sys.stderr)
