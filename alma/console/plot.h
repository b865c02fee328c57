#pragma once
#include <span>
#include <string>

namespace alma {

/// A text plot of values over 1 .. n: at most `columns` wide, axes labelled.
std::string plot_curve(std::span<const double> values, const std::string& title, int columns, bool unicode);

}  // namespace alma
