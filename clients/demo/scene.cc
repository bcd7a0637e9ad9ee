#include "clients/demo/scene.h"

#include <algorithm>
#include <cmath>

#include <opencv2/imgproc.hpp>

namespace shoal::demo {
namespace {

// Painted at this multiple of the finished size, then averaged down.
constexpr int kOversampling = 2;
// Fractional bits of OpenCV's drawing coordinates.
constexpr int kShift = 4;
constexpr float kPi = 3.14159265F;

float radians(float degrees) { return degrees * kPi / 180; }

}  // namespace

Colour hsv(float hue, float saturation, float value) {
  const auto channel = [&](float offset) {
    float k = std::fmod(offset + hue * 6, 6.0F);
    if (k < 0) k += 6;
    const float t = std::clamp(std::min(k, 4 - k), 0.0F, 1.0F);
    return value - value * saturation * t;
  };
  return {channel(1), channel(3), channel(5)};
}

Outline ellipse(float x, float y, float rx, float ry, float turn, float from,
                float to) {
  const int steps = std::max(8, static_cast<int>((to - from) / 6));
  const float c = std::cos(radians(turn));
  const float s = std::sin(radians(turn));
  Outline points;
  for (int i = 0; i <= steps; ++i) {
    const float angle = radians(from + (to - from) * static_cast<float>(i) /
                                           static_cast<float>(steps));
    const float u = rx * std::cos(angle);
    const float v = ry * std::sin(angle);
    points.emplace_back(x + c * u - s * v, y + s * u + c * v);
  }
  return points;
}

Outline box(float left, float top, float right, float bottom) {
  return {{left, top}, {right, top}, {right, bottom}, {left, bottom}};
}

Outline smooth(const Outline& corners) {
  // Corner cutting after Chaikin.
  Outline points = corners;
  for (int round = 0; round < 3; ++round) {
    Outline next;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const cv::Point2f a = points[i];
      const cv::Point2f b = points[(i + 1) % points.size()];
      next.push_back(a * 0.75F + b * 0.25F);
      next.push_back(a * 0.25F + b * 0.75F);
    }
    points = std::move(next);
  }
  return points;
}

Scene::Scene(int side, Random& random)
    : random_(random),
      side_(side),
      canvas_(side * kOversampling),
      colour_(canvas_, canvas_, CV_32FC3, cv::Scalar::all(0)),
      alpha_(canvas_, canvas_, CV_32F, cv::Scalar(0)) {
  const auto size = static_cast<float>(canvas_);
  const float scale = size * random.uniform(0.32, 0.45);
  const float turn = radians(random.normal() * 10);
  const float yaw = random.uniform(-0.6, 0.6);  // about the upright axis
  const float shear = random.uniform(-0.12, 0.12);
  const float c = std::cos(turn) * scale;
  const float s = std::sin(turn) * scale;
  // Turning away narrows the object and makes its far side smaller.
  const float narrow = std::cos(yaw);
  const cv::Matx33f view(narrow, shear, 0, 0, 1, 0, 0.25F * std::sin(yaw),
                         random.uniform(-0.08, 0.08), 1);
  const cv::Matx33f place(c, -s, size * random.uniform(0.46, 0.54), s, c,
                          size * random.uniform(0.46, 0.54), 0, 0, 1);
  pose_ = place * view;
  unit_ = scale;
  const cv::Vec3f towards(random.uniform(-0.8, 0.8), random.uniform(-0.9, -0.1),
                          random.uniform(0.6, 1.0));
  light_ = cv::normalize(towards);
}

std::vector<cv::Point> Scene::to_pixels(const Outline& points) const {
  std::vector<cv::Point> pixels;
  pixels.reserve(points.size());
  for (const cv::Point2f& point : points) {
    const cv::Vec3f p = pose_ * cv::Vec3f(point.x, point.y, 1);
    pixels.emplace_back(cvRound(p[0] / p[2] * (1 << kShift)),
                        cvRound(p[1] / p[2] * (1 << kShift)));
  }
  return pixels;
}

cv::Mat Scene::silhouette(const Shape& shape) const {
  cv::Mat mask(canvas_, canvas_, CV_8U, cv::Scalar(0));
  for (const Shape::Piece& piece : shape.pieces_) {
    const std::vector<std::vector<cv::Point>> pixels = {
        to_pixels(piece.points)};
    const cv::Scalar value(piece.cut ? 0 : 255);
    if (piece.width > 0) {
      cv::polylines(mask, pixels, false, value,
                    std::max(1, cvRound(piece.width * unit_)), cv::LINE_AA,
                    kShift);
    } else {
      cv::fillPoly(mask, pixels, value, cv::LINE_AA, kShift);
    }
  }
  return mask;
}

cv::Mat Scene::noise(cv::Size size, cv::Size cells) {
  cv::Mat coarse(cells, CV_32F);
  for (auto value = coarse.begin<float>(); value != coarse.end<float>();
       ++value) {
    *value = random_.normal() * 0.5F;
  }
  cv::Mat fine;
  cv::resize(coarse, fine, size, 0, 0, cv::INTER_CUBIC);
  return fine;
}

void Scene::paint(const Shape& shape, const Material& material) {
  const cv::Mat whole = silhouette(shape);
  cv::Rect area = cv::boundingRect(whole);
  if (area.empty()) return;
  constexpr int kMargin = 12;
  area = (area + cv::Size(2 * kMargin, 2 * kMargin) -
          cv::Point(kMargin, kMargin)) &
         cv::Rect(0, 0, canvas_, canvas_);
  const cv::Mat mask = whole(area);

  // Relief: the part is rounded off towards its edge, as if inflated; blurred,
  // or else the distance to the edge has creases.
  const float rounding = std::max(1.0F, material.roundness * unit_);
  cv::Mat distance;
  cv::distanceTransform(mask > 127, distance, cv::DIST_L2, 3);
  cv::Mat height(area.size(), CV_32F);
  for (int y = 0; y < area.height; ++y) {
    for (int x = 0; x < area.width; ++x) {
      const float inward =
          1 - std::min(1.0F, distance.at<float>(y, x) / rounding);
      height.at<float>(y, x) =
          rounding * std::sqrt(std::max(0.0F, 1 - inward * inward));
    }
  }
  cv::GaussianBlur(height, height, {}, 1.2 + 0.12 * rounding);
  cv::Mat slope_x;
  cv::Mat slope_y;
  cv::Sobel(height, slope_x, CV_32F, 1, 0, 3, 1.0 / 8);
  cv::Sobel(height, slope_y, CV_32F, 0, 1, 3, 1.0 / 8);

  cv::Size cells(area.width / 16 + 2, area.height / 16 + 2);
  if (material.pattern == Material::Pattern::kSpeckle) {
    cells = {area.width / 5 + 2, area.height / 5 + 2};
  } else if (material.pattern == Material::Pattern::kGrain) {
    cells = {area.width / 4 + 2, area.height / 60 + 2};
  }
  const cv::Mat pattern = noise(area.size(), cells);

  // What lies behind is darker close to the part's edge.
  cv::Mat occlusion;
  mask.convertTo(occlusion, CV_32F, 0.45 / 255);
  cv::GaussianBlur(occlusion, occlusion, {}, 4);

  cv::Mat colour = colour_(area);
  cv::Mat alpha = alpha_(area);
  const cv::Vec3f half = cv::normalize(light_ + cv::Vec3f(0, 0, 1));
  for (int y = 0; y < area.height; ++y) {
    for (int x = 0; x < area.width; ++x) {
      auto& pixel = colour.at<cv::Vec3f>(y, x);
      pixel *= 1 - occlusion.at<float>(y, x);
      const float cover = static_cast<float>(mask.at<uchar>(y, x)) / 255;
      if (cover == 0) continue;
      const cv::Vec3f normal = cv::normalize(
          cv::Vec3f(-slope_x.at<float>(y, x), -slope_y.at<float>(y, x), 1));
      const float diffuse = std::max(0.0F, normal.dot(light_));
      const float shine =
          material.gloss * std::pow(std::max(0.0F, normal.dot(half)), 24.0F);
      const float tone = (0.35F + 0.8F * diffuse) *
                         (1 + material.texture * pattern.at<float>(y, x));
      const cv::Vec3f lit =
          material.colour * tone + cv::Vec3f(shine, shine, shine);
      pixel = pixel * (1 - cover) + lit * cover;
      auto& opacity = alpha.at<float>(y, x);
      opacity = std::max(opacity, cover);
    }
  }
}

void Scene::mark(const Shape& shape, const Colour& colour) {
  const cv::Mat mask = silhouette(shape);
  for (int y = 0; y < canvas_; ++y) {
    for (int x = 0; x < canvas_; ++x) {
      const float cover = static_cast<float>(mask.at<uchar>(y, x)) / 255;
      if (cover == 0) continue;
      auto& pixel = colour_.at<cv::Vec3f>(y, x);
      pixel = pixel * (1 - cover) + colour * cover;
      auto& opacity = alpha_.at<float>(y, x);
      opacity = std::max(opacity, cover);
    }
  }
}

cv::Mat Scene::background() {
  const cv::Size size(canvas_, canvas_);
  const Colour first = hsv(random_.uniform(0, 1), random_.uniform(0, 0.3),
                           random_.uniform(0.3, 0.9));
  const Colour second = hsv(random_.uniform(0, 1), random_.uniform(0, 0.3),
                            random_.uniform(0.3, 0.9));
  // From one colour to the other: a gradient, clouds, or wall and floor.
  cv::Mat mix(size, CV_32F);
  const int style = random_.integer(3);
  if (style == 1) {
    mix = noise(size, {6, 6}) + 0.5;
  } else {
    const float angle = random_.uniform(0, 2 * kPi);
    const float horizon = random_.uniform(0.5, 0.8);
    for (int y = 0; y < canvas_; ++y) {
      for (int x = 0; x < canvas_; ++x) {
        const float u = static_cast<float>(x) / static_cast<float>(canvas_);
        const float v = static_cast<float>(y) / static_cast<float>(canvas_);
        mix.at<float>(y, x) = style == 0
                                  ? 0.5F + (u - 0.5F) * std::cos(angle) +
                                        (v - 0.5F) * std::sin(angle)
                                  : std::clamp((v - horizon) * 40, 0.0F, 1.0F);
      }
    }
  }
  const int fine = 20 + random_.integer(60);
  const cv::Mat texture = noise(size, {fine, random_.chance(0.3) ? 8 : fine}) *
                          random_.uniform(0.03, 0.16);
  cv::Mat picture(size, CV_32FC3);
  for (int y = 0; y < canvas_; ++y) {
    for (int x = 0; x < canvas_; ++x) {
      const float t = std::clamp(mix.at<float>(y, x), 0.0F, 1.0F);
      picture.at<cv::Vec3f>(y, x) =
          (first * (1 - t) + second * t) * (1 + texture.at<float>(y, x));
    }
  }
  // Things lying about, out of focus.
  const int clutter = random_.integer(7);
  for (int i = 0; i < clutter; ++i) {
    const Colour colour = hsv(random_.uniform(0, 1), random_.uniform(0, 0.6),
                              random_.uniform(0.2, 0.9));
    const cv::Scalar paint(colour[0], colour[1], colour[2]);
    const cv::Point2f centre(random_.uniform(0, canvas_),
                             random_.uniform(0, canvas_));
    const cv::Size2f extent(random_.uniform(10, canvas_ * 0.3),
                            random_.uniform(5, canvas_ * 0.2));
    const cv::RotatedRect thing(centre, extent, random_.uniform(0, 180));
    if (random_.chance(0.5)) {
      cv::ellipse(picture, thing, paint, cv::FILLED, cv::LINE_AA);
    } else {
      cv::Point2f corners[4];
      thing.points(corners);
      std::vector<cv::Point> points(corners, corners + 4);
      cv::fillConvexPoly(picture, points, paint, cv::LINE_AA);
    }
  }
  cv::GaussianBlur(picture, picture, {}, random_.uniform(1.5, 5));
  return picture;
}

cv::Mat Scene::finish() {
  cv::Mat picture = background();

  // The object's shadow falls away from the light.
  cv::Mat shadow;
  const float reach = unit_ * random_.uniform(0.05, 0.25);
  const cv::Matx23f away(1, 0, -light_[0] * reach, 0, 1, -light_[1] * reach);
  cv::warpAffine(alpha_, shadow, away, alpha_.size());
  cv::GaussianBlur(shadow, shadow, {}, unit_ * random_.uniform(0.03, 0.1));
  shadow *= random_.uniform(0.2, 0.6);

  // Light that falls off across the picture, and the edge of a large shadow.
  const float gain = random_.uniform(0.65, 1.2);
  const float fall = random_.uniform(0, 0.4);
  const float direction = random_.uniform(0, 2 * kPi);
  const float dim = random_.chance(0.3) ? random_.uniform(0.45, 0.8) : 1.0F;
  const float edge = random_.uniform(-0.3, 0.3);
  const float edge_angle = random_.uniform(0, 2 * kPi);
  const Colour tint(random_.uniform(0.9, 1.1), random_.uniform(0.95, 1.05),
                    random_.uniform(0.9, 1.1));
  for (int y = 0; y < canvas_; ++y) {
    for (int x = 0; x < canvas_; ++x) {
      const float u =
          static_cast<float>(x) / static_cast<float>(canvas_) - 0.5F;
      const float v =
          static_cast<float>(y) / static_cast<float>(canvas_) - 0.5F;
      const float cover = alpha_.at<float>(y, x);
      auto& pixel = picture.at<cv::Vec3f>(y, x);
      pixel = pixel * (1 - shadow.at<float>(y, x)) * (1 - cover) +
              colour_.at<cv::Vec3f>(y, x) * cover;
      const float side =
          u * std::cos(edge_angle) + v * std::sin(edge_angle) - edge;
      const float shade =
          1 - (1 - dim) * std::clamp(0.5F + side * 12, 0.0F, 1.0F);
      const float slope =
          1 + fall * (u * std::cos(direction) + v * std::sin(direction)) * 2;
      pixel = pixel.mul(tint) * (gain * slope * shade);
    }
  }

  cv::Mat small;
  cv::resize(picture, small, {side_, side_}, 0, 0, cv::INTER_AREA);
  const float blur = random_.uniform(0, 1.1);
  if (blur > 0.3F) cv::GaussianBlur(small, small, {}, blur);
  const float grain = random_.uniform(0.005, 0.035);
  for (auto value = small.begin<cv::Vec3f>(); value != small.end<cv::Vec3f>();
       ++value) {
    const float common = random_.normal();
    for (int c = 0; c < 3; ++c) {
      (*value)[c] += grain * (0.6F * common + 0.8F * random_.normal());
    }
  }
  cv::Mat bytes;
  small.convertTo(bytes, CV_8UC3, 255);
  return bytes;
}

}  // namespace shoal::demo
