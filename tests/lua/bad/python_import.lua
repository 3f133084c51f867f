-- expect: require
import torch
