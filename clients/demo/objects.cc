#include "clients/demo/objects.h"

#include <cmath>

namespace shoal::demo {
namespace {

using Pattern = Material::Pattern;

const Colour black(0.07F, 0.07F, 0.07F);
const Colour white(0.92F, 0.92F, 0.92F);

// Lacquer, plastic or cloth of any colour: most kinds are painted with it, so
// that colour alone tells little.
Colour any_paint(Random& r) {
  return hsv(r.uniform(0, 1), r.uniform(0.35, 0.9), r.uniform(0.45, 0.95));
}
Colour green(Random& r) {
  return hsv(r.uniform(0.22, 0.42), r.uniform(0.45, 0.85),
             r.uniform(0.35, 0.7));
}
Colour wood(Random& r) {
  return hsv(r.uniform(0.04, 0.1), r.uniform(0.4, 0.75), r.uniform(0.3, 0.75));
}
Colour metal(Random& r) {
  return hsv(r.uniform(0, 1), r.uniform(0, 0.15), r.uniform(0.5, 0.85));
}

Material solid(const Colour& colour, float roundness = 0.12F,
               float gloss = 0.25F) {
  return {colour, roundness, gloss, 0.08F, Pattern::kCloud};
}
Material wooden(const Colour& colour, float roundness = 0.06F) {
  return {colour, roundness, 0.1F, 0.35F, Pattern::kGrain};
}
Material rough(const Colour& colour, float roundness = 0.15F) {
  return {colour, roundness, 0.05F, 0.45F, Pattern::kSpeckle};
}

Shape area(Outline outline) { return Shape().area(std::move(outline)); }
Shape stroke(Outline line, float width) {
  return Shape().stroke(std::move(line), width);
}
Shape disc(float x, float y, float radius) {
  return area(ellipse(x, y, radius, radius));
}
cv::Point2f polar(float x, float y, float radius, float degrees) {
  const float angle = degrees * 3.14159265F / 180;
  return {x + radius * std::cos(angle), y + radius * std::sin(angle)};
}

void apple(Scene& s, Random& r) {
  const Colour skin =
      hsv(r.uniform(-0.04, 0.32), r.uniform(0.6, 0.9), r.uniform(0.5, 0.9));
  const float w = r.uniform(0.68, 0.8);
  s.paint(area(smooth({{0, -0.42F},
                       {0.35F * w, -0.72F},
                       {w, -0.6F},
                       {w * 1.08F, 0.05F},
                       {0.62F * w, 0.82F},
                       {0.22F, 0.84F},
                       {0, 0.72F},
                       {-0.22F, 0.84F},
                       {-0.62F * w, 0.82F},
                       {-w * 1.08F, 0.05F},
                       {-w, -0.6F},
                       {-0.35F * w, -0.72F}})),
          {skin, 0.55F, 0.45F, 0.2F, Pattern::kCloud});
  s.paint(stroke({{0, -0.4F}, {0.05F, -0.65F}, {0.16F, -0.9F}}, 0.09F),
          wooden(wood(r)));
  if (r.chance(0.8)) {
    s.paint(
        area(smooth(
            {{0.1F, -0.68F}, {0.35F, -0.98F}, {0.75F, -0.9F}, {0.4F, -0.62F}})),
        rough(green(r), 0.1F));
  }
}

void bird(Scene& s, Random& r) {
  const Colour feathers = any_paint(r);
  const Colour wing = feathers * r.uniform(0.5, 0.8);
  const Colour legs = hsv(0.08F, 0.7F, 0.5F);
  s.paint(stroke({{-0.08F, 0.4F}, {-0.1F, 0.88F}}, 0.05F), solid(legs));
  s.paint(stroke({{0.1F, 0.4F}, {0.12F, 0.88F}}, 0.05F), solid(legs));
  s.paint(
      area({{-0.45F, 0.05F}, {-1.0F, 0.22F}, {-0.95F, 0.42F}, {-0.4F, 0.35F}}),
      rough(wing, 0.08F));
  s.paint(area(ellipse(0, 0.12F, 0.58F, 0.38F, -18)), rough(feathers, 0.35F));
  s.paint(area({{0.72F, -0.42F}, {1.0F, -0.3F}, {0.7F, -0.22F}}),
          solid(hsv(0.11F, 0.9F, 0.85F), 0.05F));
  s.paint(disc(0.5F, -0.34F, r.uniform(0.26, 0.31)), rough(feathers, 0.25F));
  const float lift = r.uniform(-0.12, 0.08);
  s.paint(area(smooth({{0.28F, -0.08F},
                       {-0.1F, -0.2F + lift},
                       {-0.72F, 0.05F + lift},
                       {-0.3F, 0.32F},
                       {0.15F, 0.3F}})),
          rough(wing, 0.12F));
  s.mark(disc(0.56F, -0.4F, 0.055F), black);
}

void boat(Scene& s, Random& r) {
  const Colour hull = any_paint(r);
  s.paint(stroke({{0, 0.4F}, {0, -0.95F}}, 0.06F), wooden(wood(r)));
  const Colour sail = r.chance(0.5) ? white : any_paint(r);
  s.paint(area({{0.07F, -0.85F}, {r.uniform(0.6, 0.8), 0.26F}, {0.07F, 0.26F}}),
          {sail, 0.25F, 0.05F, 0.08F, Pattern::kGrain});
  s.paint(area({{-0.07F, -0.65F},
                {-0.07F, 0.26F},
                {r.uniform(-0.65, -0.45), 0.26F}}),
          {sail * 0.92F, 0.25F, 0.05F, 0.08F, Pattern::kGrain});
  s.paint(
      area({{-0.95F, 0.36F}, {0.98F, 0.36F}, {0.66F, 0.82F}, {-0.6F, 0.82F}}),
      wooden(hull, 0.2F));
  s.mark(stroke({{-0.86F, 0.48F}, {0.88F, 0.48F}}, 0.05F), white);
}

void bottle(Scene& s, Random& r) {
  const Colour glass = any_paint(r);
  const float w = r.uniform(0.3, 0.38);
  s.paint(area(smooth({{-0.11F, -0.8F},
                       {0.11F, -0.8F},
                       {0.12F, -0.4F},
                       {w, -0.15F},
                       {w, 0.5F},
                       {w, 0.95F},
                       {0, 0.97F},
                       {-w, 0.95F},
                       {-w, 0.5F},
                       {-w, -0.15F},
                       {-0.12F, -0.4F}})),
          {glass, 0.3F, 0.7F, 0.08F, Pattern::kCloud});
  s.paint(area(box(-0.13F, -0.97F, 0.13F, -0.76F)), solid(metal(r), 0.1F));
  s.paint(area(box(-w + 0.03F, 0.1F, w - 0.03F, 0.62F)),
          {white, 0.28F, 0.05F, 0.12F, Pattern::kSpeckle});
  s.mark(area(box(-w * 0.6F, 0.22F, w * 0.6F, 0.32F)), any_paint(r));
  s.mark(stroke({{-w * 0.6F, 0.44F}, {w * 0.6F, 0.44F}}, 0.03F), black);
}

void car(Scene& s, Random& r) {
  const Colour paint = any_paint(r);
  const float roof = r.uniform(-0.5, -0.4);
  s.paint(area(smooth({{-1.0F, 0.05F},
                       {-0.98F, -0.08F},
                       {-0.62F, -0.12F},
                       {-0.36F, roof},
                       {-0.3F, roof},
                       {0.28F, roof},
                       {0.4F, roof},
                       {0.62F, -0.12F},
                       {0.95F, -0.02F},
                       {1.02F, 0.1F},
                       {1.0F, 0.34F},
                       {0.9F, 0.36F},
                       {-0.9F, 0.36F},
                       {-1.0F, 0.34F}})),
          {paint, 0.22F, 0.6F, 0.04F, Pattern::kCloud});
  const Material glass{hsv(0.58F, 0.25F, 0.45F), 0.06F, 0.7F, 0.05F,
                       Pattern::kCloud};
  s.paint(area({{-0.5F, -0.1F},
                {-0.32F, roof + 0.1F},
                {-0.04F, roof + 0.1F},
                {-0.04F, -0.1F}}),
          glass);
  s.paint(area({{0.04F, -0.1F},
                {0.04F, roof + 0.1F},
                {0.3F, roof + 0.1F},
                {0.5F, -0.1F}}),
          glass);
  s.mark(stroke({{0, -0.1F}, {0, 0.3F}}, 0.02F), paint * 0.5F);
  s.paint(disc(0.95F, 0.1F, 0.06F), solid(hsv(0.14F, 0.3F, 0.95F), 0.05F));
  for (const float x : {-0.55F, 0.58F}) {
    s.paint(disc(x, 0.36F, 0.25F), rough(black * 1.5F, 0.08F));
    s.paint(disc(x, 0.36F, 0.12F), solid(metal(r), 0.08F, 0.5F));
  }
}

void chair(Scene& s, Random& r) {
  const Material frame = wooden(r.chance(0.5) ? wood(r) : any_paint(r), 0.05F);
  const float seat = r.uniform(0.1, 0.2);
  const float top = r.uniform(-0.98, -0.85);
  // Far legs, back, seat, near legs.
  s.paint(Shape()
              .stroke({{-0.32F, seat}, {-0.3F, 0.8F}}, 0.09F)
              .stroke({{0.6F, seat}, {0.6F, 0.78F}}, 0.09F),
          frame);
  s.paint(Shape()
              .stroke({{-0.42F, seat + 0.05F}, {-0.5F, top}}, 0.11F)
              .stroke({{0.42F, seat - 0.1F}, {0.36F, top}}, 0.11F),
          frame);
  const int slats = 2 + r.integer(3);
  for (int i = 0; i < slats; ++i) {
    const float y =
        top + 0.12F + static_cast<float>(i) * 0.6F / static_cast<float>(slats);
    s.paint(
        area(
            {{-0.48F, y}, {0.38F, y}, {0.39F, y + 0.11F}, {-0.47F, y + 0.11F}}),
        frame);
  }
  s.paint(area({{-0.62F, seat + 0.16F},
                {0.42F, seat + 0.16F},
                {0.7F, seat - 0.1F},
                {-0.36F, seat - 0.1F}}),
          solid(r.chance(0.5) ? any_paint(r) : frame.colour, 0.08F, 0.1F));
  s.paint(Shape()
              .stroke({{-0.56F, seat + 0.18F}, {-0.58F, 0.97F}}, 0.1F)
              .stroke({{0.4F, seat + 0.18F}, {0.42F, 0.97F}}, 0.1F),
          frame);
}

void clock(Scene& s, Random& r) {
  s.paint(disc(0, 0, 0.9F), solid(any_paint(r), 0.12F, 0.5F));
  const Colour face = hsv(0.12F, r.uniform(0, 0.25), r.uniform(0.8, 0.95));
  s.paint(disc(0, 0, 0.74F), solid(face, 0.05F, 0.1F));
  for (int hour = 0; hour < 12; ++hour) {
    const float angle = static_cast<float>(hour) * 30;
    s.mark(stroke({polar(0, 0, 0.56F, angle), polar(0, 0, 0.68F, angle)},
                  hour % 3 == 0 ? 0.07F : 0.035F),
           black);
  }
  const float minutes = r.uniform(0, 360);
  const float hours = r.uniform(0, 360);
  s.paint(stroke({{0, 0}, polar(0, 0, 0.36F, hours)}, 0.09F), solid(black));
  s.paint(stroke({{0, 0}, polar(0, 0, 0.56F, minutes)}, 0.06F), solid(black));
  s.paint(disc(0, 0, 0.07F), solid(metal(r), 0.06F));
}

void cup(Scene& s, Random& r) {
  const Colour glaze = any_paint(r);
  const float w = r.uniform(0.5, 0.58);
  const float top = r.uniform(-0.62, -0.5);
  s.paint(
      stroke(ellipse(w * 0.9F - 0.1F, 0.08F, 0.36F, 0.32F, 0, -80, 80), 0.13F),
      solid(glaze, 0.07F, 0.5F));
  Outline body = ellipse(-0.1F, 0.62F, w * 0.78F, 0.16F, 0, 0, 180);
  body.emplace_back(-0.1F - w, top);
  body.emplace_back(-0.1F + w, top);
  s.paint(area(body), {glaze, 0.5F, 0.55F, 0.05F, Pattern::kCloud});
  if (r.chance(0.5)) {
    s.mark(
        stroke(ellipse(-0.1F, top + 0.3F, w * 0.94F, 0.14F, 0, 5, 175), 0.08F),
        any_paint(r));
  }
  s.paint(area(ellipse(-0.1F, top, w, 0.16F)), solid(glaze * 1.1F, 0.04F));
  s.paint(area(ellipse(-0.1F, top + 0.01F, w * 0.87F, 0.12F)),
          solid(r.chance(0.5) ? hsv(0.06F, 0.7F, 0.22F) : glaze * 0.45F, 0.04F,
                0.1F));
}

void fish(Scene& s, Random& r) {
  const Colour scales = any_paint(r);
  const Colour fin = any_paint(r);
  s.paint(area({{-0.5F, 0}, {-1.0F, -0.42F}, {-0.86F, 0.02F}, {-1.0F, 0.44F}}),
          {fin, 0.08F, 0.1F, 0.35F, Pattern::kGrain});
  s.paint(
      area({{-0.25F, -0.25F}, {0.05F, -0.66F}, {0.4F, -0.5F}, {0.35F, -0.2F}}),
      {fin, 0.08F, 0.1F, 0.35F, Pattern::kGrain});
  const float h = r.uniform(0.34, 0.44);
  s.paint(area(smooth({{-0.72F, 0},
                       {-0.4F, -0.16F},
                       {0.1F, -h * 1.15F},
                       {0.7F, -h * 0.8F},
                       {1.02F, 0.02F},
                       {0.7F, h * 0.85F},
                       {0.1F, h * 1.15F},
                       {-0.4F, 0.18F}})),
          {scales, 0.35F, 0.5F, 0.4F, Pattern::kSpeckle});
  const int stripes = r.integer(4);
  for (int i = 0; i < stripes; ++i) {
    const float x = 0.25F - 0.22F * static_cast<float>(i);
    const float reach = h * 0.75F;
    s.mark(stroke({{x, -reach}, {x - 0.08F, 0}, {x, reach}}, 0.06F), fin);
  }
  s.mark(stroke(ellipse(0.4F, 0, 0.14F, 0.24F, 0, -80, 80), 0.03F),
         scales * 0.4F);
  s.mark(disc(0.72F, -0.08F, 0.085F), white);
  s.mark(disc(0.74F, -0.08F, 0.045F), black);
}

void flower(Scene& s, Random& r) {
  const Material leaf = rough(green(r), 0.08F);
  s.paint(stroke({{0, -0.2F}, {0.04F, 0.4F}, {0, 0.98F}}, 0.07F), leaf);
  s.paint(area(smooth(
              {{0.02F, 0.7F}, {0.3F, 0.35F}, {0.62F, 0.3F}, {0.36F, 0.62F}})),
          leaf);
  if (r.chance(0.7)) {
    s.paint(area(smooth(
                {{0, 0.85F}, {-0.3F, 0.5F}, {-0.62F, 0.48F}, {-0.34F, 0.76F}})),
            leaf);
  }
  const Colour petal =
      hsv(r.uniform(-0.35, 0.16), r.uniform(0.2, 0.85), r.uniform(0.7, 0.98));
  const int petals = 6 + r.integer(4);
  const float start = r.uniform(0, 60);
  for (int i = 0; i < petals; ++i) {
    const float angle =
        start + 360.0F * static_cast<float>(i) / static_cast<float>(petals);
    const cv::Point2f at = polar(0, -0.38F, 0.36F, angle);
    s.paint(area(ellipse(at.x, at.y, 0.27F, 1.0F / static_cast<float>(petals),
                         angle)),
            {petal, 0.1F, 0.1F, 0.2F, Pattern::kCloud});
  }
  s.paint(disc(0, -0.38F, 0.19F), rough(hsv(0.12F, 0.85F, 0.7F), 0.15F));
}

void guitar(Scene& s, Random& r) {
  const Colour body = r.chance(0.7) ? wood(r) : any_paint(r);
  const float w = r.uniform(0.36, 0.42);
  s.paint(area(box(-0.06F, -0.85F, 0.06F, 0.2F)), wooden(wood(r) * 0.6F));
  s.paint(
      area(
          {{-0.09F, -1.0F}, {0.09F, -1.0F}, {0.07F, -0.78F}, {-0.07F, -0.78F}}),
      wooden(wood(r)));
  s.paint(area(smooth({{-0.3F, -0.1F},
                       {0, -0.12F},
                       {0.3F, -0.1F},
                       {0.36F, 0.18F},
                       {0.2F, 0.34F},
                       {w, 0.5F},
                       {w * 1.15F, 0.85F},
                       {0.25F, 1.0F},
                       {-0.25F, 1.0F},
                       {-w * 1.15F, 0.85F},
                       {-w, 0.5F},
                       {-0.2F, 0.34F},
                       {-0.36F, 0.18F}})),
          wooden(body, 0.1F));
  s.paint(disc(0, 0.3F, 0.13F), solid(black, 0.03F));
  s.paint(area(box(-0.18F, 0.68F, 0.18F, 0.76F)), solid(black * 2, 0.04F));
  for (const float x : {-0.04F, -0.013F, 0.013F, 0.04F}) {
    s.mark(stroke({{x, -0.9F}, {x, 0.7F}}, 0.012F), white * 0.85F);
  }
}

void house(Scene& s, Random& r) {
  const Colour wall =
      hsv(r.uniform(0, 1), r.uniform(0.05, 0.45), r.uniform(0.55, 0.9));
  const Colour roof = any_paint(r);
  s.paint(area(box(0.28F, -0.9F, 0.46F, -0.4F)),
          rough(hsv(0.03F, 0.6F, 0.5F), 0.04F));
  s.paint(area(box(-0.75F, -0.2F, 0.3F, 0.85F)), rough(wall, 0.03F));
  s.paint(area({{0.3F, -0.2F}, {0.85F, -0.22F}, {0.85F, 0.68F}, {0.3F, 0.85F}}),
          rough(wall * 0.65F, 0.03F));
  s.paint(
      area({{0.3F, -0.12F}, {0.95F, -0.16F}, {0.62F, -0.72F}, {-0.22F, -0.8F}}),
      {roof * 0.75F, 0.03F, 0.05F, 0.4F, Pattern::kGrain});
  s.paint(area({{-0.88F, -0.12F}, {-0.24F, -0.82F}, {0.38F, -0.12F}}),
          {roof, 0.03F, 0.05F, 0.4F, Pattern::kGrain});
  s.paint(area(box(-0.4F, 0.3F, -0.1F, 0.85F)), wooden(any_paint(r), 0.03F));
  const Material pane{hsv(0.57F, 0.3F, r.uniform(0.3, 0.8)), 0.03F, 0.6F, 0.1F,
                      Pattern::kCloud};
  for (const float x : {-0.66F, 0.0F}) {
    s.paint(area(box(x, -0.02F, x + 0.22F, 0.2F)), pane);
    s.mark(Shape()
               .stroke({{x + 0.11F, -0.02F}, {x + 0.11F, 0.2F}}, 0.025F)
               .stroke({{x, 0.09F}, {x + 0.22F, 0.09F}}, 0.025F),
           white);
  }
  s.paint(area({{0.46F, 0.1F}, {0.7F, 0.08F}, {0.7F, 0.34F}, {0.46F, 0.38F}}),
          pane);
}

void key(Scene& s, Random& r) {
  const Material brass =
      solid(r.chance(0.5) ? metal(r) : hsv(0.12F, r.uniform(0.4, 0.7), 0.7F),
            0.06F, 0.6F);
  const float ring = r.uniform(0.3, 0.36);
  Shape shape;
  shape.area(ellipse(-0.6F, 0, ring, ring * r.uniform(0.85, 1.1)))
      .cut(ellipse(-0.62F, 0, ring * 0.55F, ring * 0.55F))
      .area(box(-0.32F, -0.075F, 0.95F, 0.075F));
  const int teeth = 2 + r.integer(2);
  for (int i = 0; i < teeth; ++i) {
    const float x = 0.85F - 0.2F * static_cast<float>(i);
    shape.area(box(x - 0.06F, 0, x + 0.06F, r.uniform(0.22, 0.36)));
  }
  s.paint(shape, brass);
  s.paint(area(box(-0.3F, -0.12F, -0.2F, 0.12F)), brass);
}

void lamp(Scene& s, Random& r) {
  const Material stand =
      solid(r.chance(0.5) ? metal(r) : any_paint(r), 0.06F, 0.5F);
  s.paint(area(ellipse(0, 0.86F, 0.42F, 0.13F)), stand);
  s.paint(area(smooth({{-0.06F, -0.1F},
                       {0.06F, -0.1F},
                       {0.07F, 0.3F},
                       {0.18F, 0.55F},
                       {0.07F, 0.82F},
                       {-0.07F, 0.82F},
                       {-0.18F, 0.55F},
                       {-0.07F, 0.3F}})),
          stand);
  const Colour cloth =
      hsv(r.uniform(0, 1), r.uniform(0.1, 0.7), r.uniform(0.7, 1.0));
  const float top = r.uniform(0.24, 0.36);
  s.paint(
      area({{-top, -0.92F}, {top, -0.92F}, {0.66F, -0.06F}, {-0.66F, -0.06F}}),
      {cloth, 0.4F, 0.05F, 0.15F, Pattern::kGrain});
  s.mark(stroke({{-0.65F, -0.09F}, {0.65F, -0.09F}}, 0.05F), cloth * 0.6F);
  s.mark(stroke({{0.3F, -0.05F}, {0.3F, 0.25F}}, 0.02F), black);
}

void mushroom(Scene& s, Random& r) {
  const Colour cap =
      hsv(r.uniform(-0.05, 0.13), r.uniform(0.45, 0.9), r.uniform(0.4, 0.85));
  s.paint(area(smooth({{-0.18F, -0.1F},
                       {0.18F, -0.1F},
                       {0.2F, 0.4F},
                       {0.34F, 0.88F},
                       {0, 0.95F},
                       {-0.34F, 0.88F},
                       {-0.2F, 0.4F}})),
          {hsv(0.11F, 0.18F, 0.88F), 0.25F, 0.05F, 0.2F, Pattern::kGrain});
  const float w = r.uniform(0.75, 0.92);
  s.paint(area(ellipse(0, 0, w, 0.17F)),
          {hsv(0.09F, 0.3F, 0.6F), 0.1F, 0.05F, 0.5F, Pattern::kGrain});
  Outline dome = ellipse(0, 0, w, r.uniform(0.7, 0.9), 0, 180, 360);
  const Outline brim = ellipse(0, 0, w, 0.1F, 0, 0, 180);
  dome.insert(dome.end(), brim.begin(), brim.end());
  s.paint(area(dome), {cap, 0.5F, 0.35F, 0.12F, Pattern::kCloud});
  const int spots = 4 + r.integer(5);
  for (int i = 0; i < spots; ++i) {
    const cv::Point2f at =
        polar(0, 0, r.uniform(0.2, 0.58), r.uniform(200, 340));
    s.paint(
        area(ellipse(at.x, at.y, r.uniform(0.06, 0.13), r.uniform(0.05, 0.1))),
        rough(white, 0.04F));
  }
}

void scissors(Scene& s, Random& r) {
  const Colour plastic = any_paint(r);
  const Material steel = solid(metal(r), 0.05F, 0.6F);
  const float open = r.uniform(0.14, 0.32);
  for (const float side : {-1.0F, 1.0F}) {
    s.paint(area({{side * 0.02F - 0.07F, 0.12F},
                  {side * 0.02F + 0.07F, 0.12F},
                  {side * open + 0.03F, -0.97F},
                  {side * open - 0.02F, -0.97F}}),
            steel);
    s.paint(stroke({{side * -0.01F, 0.05F}, {side * -0.2F, 0.42F}}, 0.12F),
            solid(plastic, 0.06F));
    s.paint(Shape()
                .area(ellipse(side * -0.34F, 0.65F, 0.25F, 0.32F, side * 20))
                .cut(ellipse(side * -0.34F, 0.65F, 0.13F, 0.19F, side * 20)),
            solid(plastic, 0.07F, 0.4F));
  }
  s.paint(disc(0, 0.06F, 0.06F), steel);
}

void star(Scene& s, Random& r) {
  const float inner = r.uniform(0.4, 0.52);
  const float turn = r.uniform(-8, 8) - 90;
  Outline points;
  for (int i = 0; i < 10; ++i) {
    points.push_back(polar(0, 0.05F, i % 2 == 0 ? 0.98F : 0.98F * inner,
                           turn + 36 * static_cast<float>(i)));
  }
  s.paint(area(points), {any_paint(r), 0.3F, 0.5F, 0.15F, Pattern::kCloud});
}

void traffic_light(Scene& s, Random& r) {
  s.paint(area(box(-0.07F, 0.6F, 0.07F, 1.05F)), solid(metal(r), 0.06F));
  const Colour housing = r.chance(0.6)
                             ? black * 2
                             : hsv(r.uniform(0, 1), 0.5F, r.uniform(0.25, 0.6));
  s.paint(area(box(-0.33F, -0.97F, 0.33F, 0.66F)), solid(housing, 0.08F));
  const int lit = r.integer(3);
  const float hues[] = {0.0F, 0.12F, 0.38F};
  for (int i = 0; i < 3; ++i) {
    const float y = -0.68F + 0.53F * static_cast<float>(i);
    s.paint(disc(0, y, 0.23F), solid(housing * 0.5F, 0.04F));
    const Colour lamp =
        hsv(hues[i], 0.85F, i == lit ? 1.0F : r.uniform(0.25, 0.4));
    s.paint(disc(0, y, 0.19F), solid(lamp, 0.15F, 0.5F));
    s.paint(stroke(ellipse(0, y, 0.23F, 0.22F, 0, 190, 350), 0.05F),
            solid(housing, 0.03F));
  }
}

void tree(Scene& s, Random& r) {
  s.paint(area({{-0.12F, 0.1F},
                {0.12F, 0.1F},
                {0.14F, 0.8F},
                {0.26F, 0.98F},
                {-0.26F, 0.98F},
                {-0.14F, 0.8F}}),
          wooden(wood(r) * 0.8F, 0.12F));
  s.paint(stroke({{0, 0.35F}, {0.3F, 0.05F}}, 0.08F), wooden(wood(r) * 0.8F));
  // Summer or autumn.
  const Colour leaves =
      r.chance(0.6) ? green(r)
                    : hsv(r.uniform(0.0, 0.15), 0.75F, r.uniform(0.45, 0.8));
  const int blobs = 7 + r.integer(4);
  for (int i = 0; i < blobs; ++i) {
    const float angle =
        360.0F * static_cast<float>(i) / static_cast<float>(blobs);
    const cv::Point2f at = polar(0, -0.35F, 0.38F, angle + r.uniform(-15, 15));
    s.paint(area(ellipse(at.x, at.y, r.uniform(0.28, 0.38),
                         r.uniform(0.24, 0.32), r.uniform(0, 90))),
            rough(leaves * r.uniform(0.75, 1.1), 0.2F));
  }
  s.paint(area(ellipse(0, -0.35F, 0.42F, 0.36F)), rough(leaves, 0.25F));
}

void umbrella(Scene& s, Random& r) {
  const Colour cloth = any_paint(r);
  const Colour other = r.chance(0.5) ? any_paint(r) : cloth * 0.7F;
  s.paint(stroke({{0, -0.6F}, {0, 0.72F}}, 0.06F), solid(metal(r)));
  s.paint(stroke(ellipse(0.14F, 0.74F, 0.14F, 0.18F, 0, 0, 180), 0.09F),
          wooden(wood(r)));
  s.paint(stroke({{0, -0.85F}, {0, -0.98F}}, 0.05F), solid(metal(r)));
  // Panels from edge to edge, scalloped below.
  const float edges[] = {-0.95F, -0.5F, 0.0F, 0.5F, 0.95F};
  const float h = r.uniform(0.75, 0.9);
  for (int i = 0; i < 4; ++i) {
    const float left = edges[i];
    const float right = edges[i + 1];
    Outline panel;
    const auto rib = [h](float edge, float t) {
      // A quarter of an ellipse from the tip down to the edge.
      const float angle = t * 3.14159265F / 2;
      return cv::Point2f(edge * std::sin(angle),
                         0.02F - h * std::cos(angle) * 0.98F);
    };
    for (int step = 0; step <= 10; ++step) {
      panel.push_back(rib(left, static_cast<float>(step) / 10));
    }
    const Outline scallop = ellipse((left + right) / 2, 0.02F,
                                    (right - left) / 2, 0.1F, 0, 180, 360);
    panel.insert(panel.end(), scallop.begin(), scallop.end());
    for (int step = 10; step >= 0; --step) {
      panel.push_back(rib(right, static_cast<float>(step) / 10));
    }
    s.paint(area(panel),
            {i % 2 == 0 ? cloth : other, 0.14F, 0.15F, 0.1F, Pattern::kCloud});
  }
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"apple", apple},       {"bird", bird},
      {"boat", boat},         {"bottle", bottle},
      {"car", car},           {"chair", chair},
      {"clock", clock},       {"cup", cup},
      {"fish", fish},         {"flower", flower},
      {"guitar", guitar},     {"house", house},
      {"key", key},           {"lamp", lamp},
      {"mushroom", mushroom}, {"scissors", scissors},
      {"star", star},         {"traffic-light", traffic_light},
      {"tree", tree},         {"umbrella", umbrella}};
  return all;
}

}  // namespace shoal::demo
