#include "kernels/split.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void split(const Args& args) {
  const Input x(args, Split::x);
  const Output a(args, Split::a), b(args, Split::b);
  const auto& d = args.desc<Split::Desc>();
  const int64_t width = d.first + d.second;
  for (int64_t t = 0; t < args.dim(Split::x, 0); ++t)
    for (int64_t c = 0; c < width; ++c)
      if (c < d.first)
        a.set(t * d.first + c, x[t * width + c]);
      else
        b.set(t * d.second + c - d.first, x[t * width + c]);
}

void concat(const Args& args) {
  const Input a(args, Concat::a), b(args, Concat::b);
  const Output x(args, Concat::x);
  const auto& d = args.desc<Concat::Desc>();
  const int64_t width = d.first + d.second;
  for (int64_t t = 0; t < args.outputs[Concat::x].spec->shape[0]; ++t)
    for (int64_t c = 0; c < width; ++c)
      if (c < d.first)
        x.set(t * width + c, args.has(Concat::a) ? a[t * d.first + c] : 0);
      else
        x.set(t * width + c, args.has(Concat::b) ? b[t * d.second + c - d.first] : 0);
}

}  // namespace birkhoff::reference
