#pragma once

#include <vector>

#include <opencv2/core.hpp>

#include "clients/demo/random.h"

namespace shoal::demo {

/// Points in an object's own plane: x to the right, y down, the object within
/// about [-1, 1] both ways.
using Outline = std::vector<cv::Point2f>;
/// Blue, green, red in [0, 1].
using Colour = cv::Vec3f;

/// @param hue in turns, any real; saturation, value in [0, 1]
[[nodiscard]] Colour hsv(float hue, float saturation, float value);

/// An arc of an ellipse from `from` to `to` degrees (0: right, 90: down),
/// turned by `turn` degrees.
[[nodiscard]] Outline ellipse(float x, float y, float rx, float ry,
                              float turn = 0, float from = 0, float to = 360);
[[nodiscard]] Outline box(float left, float top, float right, float bottom);
/// The same outline through a smooth curve (closed).
[[nodiscard]] Outline smooth(const Outline& corners);

/// The surface of a part.
struct Material {
  Colour colour;
  /// How far from its edge a part is rounded, in object units; 0: flat.
  float roundness = 0.1F;
  float gloss = 0.2F;    ///< strength of the highlight
  float texture = 0.1F;  ///< strength of the pattern
  enum class Pattern { kSpeckle, kGrain, kCloud } pattern = Pattern::kCloud;
};

/// A part's silhouette: areas and strokes, less what is cut out.
class Shape {
 public:
  Shape& area(Outline outline) { return add(std::move(outline), 0, false); }
  Shape& stroke(Outline line, float width) {
    return add(std::move(line), width, false);
  }
  Shape& cut(Outline outline) { return add(std::move(outline), 0, true); }

 private:
  friend class Scene;
  struct Piece {
    Outline points;
    float width;  // 0: a filled area
    bool cut;
  };
  Shape& add(Outline points, float width, bool cut) {
    pieces_.push_back({std::move(points), width, cut});
    return *this;
  }
  std::vector<Piece> pieces_;
};

/// One picture in the making: an object of shaded parts, painted from back to
/// front under a random pose, then put under random light before a random
/// background. Owner-thread.
class Scene {
 public:
  /// @param side  of the finished picture, pixels
  Scene(int side, Random& random);

  void paint(const Shape& shape, const Material& material);
  /// Flat paint without its own relief: eyes, spots, stripes.
  void mark(const Shape& shape, const Colour& colour);

  /// (side, side) 8-bit BGR
  [[nodiscard]] cv::Mat finish();

 private:
  [[nodiscard]] std::vector<cv::Point> to_pixels(const Outline& points) const;
  [[nodiscard]] cv::Mat silhouette(const Shape& shape) const;
  [[nodiscard]] cv::Mat noise(cv::Size size, cv::Size cells);
  [[nodiscard]] cv::Mat background();

  Random& random_;
  int side_;          // finished
  int canvas_;        // painted, larger
  cv::Matx33f pose_;  // object units to canvas pixels
  float unit_;        // canvas pixels per object unit
  cv::Vec3f light_;   // towards the light, unit length
  cv::Mat colour_;    // CV_32FC3
  cv::Mat alpha_;     // CV_32F
};

}  // namespace shoal::demo
