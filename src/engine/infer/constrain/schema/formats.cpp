#include "engine/infer/constrain/schema/formats.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace lm {
namespace {

// RFC 3339, section 5.6; days by month, 29 February in leap years only.
#define LM_DATE                                                                                  \
  "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-" \
  "9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468]"  \
  "[048]|[13579][26])00)-02-29)"
#define LM_TIME                                                                                  \
  "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):" \
  "[0-5][0-9])|23:59:60(?:\\.[0-9]+)?[Zz])"
#define LM_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define LM_HOST "(?=.{1,253}$)" LM_LABEL "(?:\\." LM_LABEL ")*"
#define LM_IPV4                                                                                    \
  "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?" \
  "[0-9])"
#define LM_H16 "[0-9A-Fa-f]{1,4}"
#define LM_LS32 "(?:" LM_H16 ":" LM_H16 "|" LM_IPV4 ")"
// RFC 3986, appendix A.
#define LM_PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define LM_AUTHORITY                                                                               \
  "(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?:\\[[0-9A-Fa-f:.]+\\]|(?:[A-Za-z0-9._~" \
  "!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
#define LM_QUERY "(?:\\?(?:" LM_PCHAR "|[/?])*)?(?:#(?:" LM_PCHAR "|[/?])*)?"
#define LM_URI                                                                     \
  "[A-Za-z][A-Za-z0-9+.-]*:(?://" LM_AUTHORITY "(?:/" LM_PCHAR "*)*|/(?:" LM_PCHAR \
  "+(?:/" LM_PCHAR "*)*)?|" LM_PCHAR "+(?:/" LM_PCHAR "*)*|)" LM_QUERY

constexpr std::pair<std::string_view, const char*> kPatterns[] = {
    {"date", LM_DATE},
    {"time", LM_TIME},
    {"date-time", LM_DATE "[Tt]" LM_TIME},
    {"duration",
     "P(?:[0-9]+W|(?=[0-9T])(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)?(?:T(?:"
     "[0"
     "-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?)"},
    {"email", "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" LM_LABEL
              "(?:\\." LM_LABEL ")*"},
    {"hostname", LM_HOST},
    {"ipv4", LM_IPV4},
    {"ipv6",
     "(?:(?:" LM_H16 ":){6}" LM_LS32 "|::(?:" LM_H16 ":){5}" LM_LS32 "|(?:" LM_H16 ")?::(?:" LM_H16
     ":){4}" LM_LS32 "|(?:(?:" LM_H16 ":){0,1}" LM_H16 ")?::(?:" LM_H16 ":){3}" LM_LS32
     "|(?:(?:" LM_H16 ":){0,2}" LM_H16 ")?::(?:" LM_H16 ":){2}" LM_LS32 "|(?:(?:" LM_H16
     ":){0,3}" LM_H16 ")?::" LM_H16 ":" LM_LS32 "|(?:(?:" LM_H16 ":){0,4}" LM_H16 ")?::" LM_LS32
     "|(?:(?:" LM_H16 ":){0,5}" LM_H16 ")?::" LM_H16 "|(?:(?:" LM_H16 ":){0,6}" LM_H16 ")?::)"},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
    {"uri", LM_URI},
    {"uri-reference",
     "(?:" LM_URI "|(?://" LM_AUTHORITY "(?:/" LM_PCHAR "*)*|/(?:" LM_PCHAR "+(?:/" LM_PCHAR
     "*)*)?|(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+(?:/" LM_PCHAR "*)*|)" LM_QUERY ")"},
    {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
    {"relative-json-pointer", "(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)"},
};

constexpr std::string_view kOthers[] = {"iri",          "iri-reference", "idn-email",
                                        "idn-hostname", "uri-template",  "regex"};

}  // namespace

const char* format_pattern(std::string_view name) {
  for (const auto& [known, pattern] : kPatterns)
    if (known == name) return pattern;
  return nullptr;
}

bool is_standard_format(std::string_view name) {
  return std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

}  // namespace lm
