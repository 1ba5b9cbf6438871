"""Operations of refdiff: metrics of samples, of features and of class probabilities."""

from ...data import feature_metrics, metrics


def frechet_distance(mean1, cov1, mean2, cov2):
    return metrics.frechet_distance(mean1, cov1, mean2, cov2)


def frechet_of_features(x, y):
    return feature_metrics.frechet_of_features(x, y)


def at_infinity(sizes, values):
    return feature_metrics.at_infinity(sizes, values)


def inception_score(probabilities, splits):
    return feature_metrics.inception_score(probabilities, splits)


def energy_distance(x, y, statistic):
    return metrics.energy_distance(x, y, unbiased=statistic == "U")


def mmd(x, y, bandwidth, statistic):
    return metrics.mmd(x, y, bandwidth, unbiased=statistic == "U")


def kid(x, y, statistic):
    return feature_metrics.kid(x, y, unbiased=statistic == "U")


def kid_over_subsets(x, y, rows_x, rows_y):
    return feature_metrics.kid_over_subsets(x, y, rows_x, rows_y)
